"""The gRPC server: services, health, reflection, limits at the wire, and an orderly end."""

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from guard_service.access.access import Access
from guard_service.api import moderation, review
from guard_service.api.gate import Gate
from guard_service.api.health import Health
from guard_service.api.tls import server_credentials
from guard_service.conversation import Limits
from guard_service.errors import SettingsInvalid
from guard_service.review.feed import Feed

SERVICES = (moderation.SERVICE, review.SERVICE)

# What a request may weigh beyond its conversation: ids, labels, field headers.
_ENVELOPE_BYTES = 256 * 1024


class GuardServer:
    """Starts NOT_SERVING; the engine's state turns health on and off."""

    def __init__(self, address: str, limits: Limits, access: Access) -> None:
        self._server = grpc.aio.server(interceptors=[Gate(access)], options=_options(limits))
        self._health = Health(SERVICES)
        self._feed: Feed | None = None
        try:
            self.port = self._open(address, access)
        except RuntimeError:
            raise SettingsInvalid(f"host, port: cannot listen on {address}") from None

    async def start(
        self, moderating: moderation.ModerationService, reviewing: review.ReviewService
    ) -> None:
        self._feed = reviewing.feed
        handlers = (moderating.handlers(), reviewing.handlers())
        self._server.add_generic_rpc_handlers(handlers)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        await self._server.start()

    @property
    def is_serving(self) -> bool:
        """What health says."""
        return self._health.is_serving

    def _open(self, address: str, access: Access) -> int:
        if access.tls is None:
            return self._server.add_insecure_port(address)
        credentials = server_credentials(access.tls, lambda: access.tls)
        return self._server.add_secure_port(address, credentials)

    async def set_serving(self, is_serving: bool) -> None:
        await self._health.set_serving(is_serving)

    async def stop(self, lame_duck_s: float, drain_s: float) -> None:
        """NOT_SERVING first, then a moment for balancers to see it, so that no call is lost."""
        await self._health.stop()
        if self._feed:  # who follows it would keep the drain waiting
            await self._feed.end()
        await asyncio.sleep(lame_duck_s)
        await self._server.stop(drain_s)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.max_conversation_bytes + _ENVELOPE_BYTES),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.so_reuseport", 0),  # a second server on the port is a mistake, so it is told
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ]
