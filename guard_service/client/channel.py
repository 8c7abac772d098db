"""How both clients reach the servers: retries, load balancing, health, keepalive.

`service_config.json` is gRPC's own format. UNAVAILABLE is tried again, and CANCELLED of moderation,
which a server says to calls that reach it while it closes. RESOURCE_EXHAUSTED is not: it is the
server's shield (a second try 0.1 s later only adds to the load) and also the code of quotas and of
too large messages, which no second try mends; it comes up as Overloaded with the server's own
`retry_after_s`. ModerateBatch is not tried again: what it has yielded cannot be taken back.
round_robin is there because pick_first does not look at the servers' health: with it, a channel is
READY exactly while a server says that it is SERVING.
"""

from functools import partial
from importlib import resources
from typing import Any

from guard_service.client.connection import Connection, Options
from guard_service.v1 import moderation_pb2_grpc, review_pb2_grpc


class Stubs:
    """A channel of `api`, which is grpc or grpc.aio, and the services called through it."""

    def __init__(self, api: Any, connection: Connection) -> None:
        moderation: Any = moderation_pb2_grpc.ModerationServiceStub  # generated without types
        review: Any = review_pb2_grpc.ReviewServiceStub
        open_channel = api.insecure_channel
        if credentials := connection.channel_credentials:
            open_channel = partial(api.secure_channel, credentials=credentials)
        options = channel_options(connection.channel_options)
        self.channel = open_channel(connection.target, options=options)
        self.moderation, self.review = moderation(self.channel), review(self.channel)


def channel_options(extra: Options) -> list[tuple[str, Any]]:
    """Our channel options; those in `extra` win."""
    config = resources.files(__package__).joinpath("service_config.json").read_text("utf-8")
    options = {
        "grpc.service_config": config,
        # Finds dead peers and keeps balancers from forgetting idle connections; far above the 10 s
        # between pings at which our servers begin to refuse them.
        "grpc.keepalive_time_ms": 60_000,
        "grpc.keepalive_timeout_ms": 10_000,
        # gRPC's two minutes are too long for a server that was only restarted.
        "grpc.max_reconnect_backoff_ms": 5_000,
    }
    return list((options | dict(extra or {})).items())
