"""NATS JetStream: one subject of one stream, which is made where there is none."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from guard_service.review.event import CONTENT_TYPE, Event
from guard_service.review.sink.connection import ANSWER_S, ready_or_closed


@dataclass(frozen=True, slots=True)
class NatsConnection:
    client: Client
    stream: JetStreamContext
    subject: str

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.gather(*map(self._send, events))

    async def close(self) -> None:
        await self.client.close()

    async def _send(self, event: Event) -> None:
        # By its id the server drops most of what is sent twice, within two minutes.
        headers = {"Nats-Msg-Id": event.id, "Content-Type": CONTENT_TYPE}
        await self.stream.publish(self.subject, event.to_json().encode(), headers=headers)


async def connect(url: str, topic: str, kept_s: float) -> NatsConnection:
    client = Client()
    async with ready_or_closed(client.close):
        await client.connect(
            url,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # or it tries for two minutes, whatever is allowed
            reconnect_time_wait=0,
            connect_timeout=int(ANSWER_S),
            error_cb=_ignore,
        )
        stream = client.jetstream(timeout=ANSWER_S)
        try:
            await stream.find_stream_name_by_subject(topic)
        except NotFoundError:
            await stream.add_stream(name=topic.replace(".", "_"), subjects=[topic], max_age=kept_s)
    return NatsConnection(client, stream, topic)


async def _ignore(_: Exception) -> None:
    """Whoever publishes is told; the client would log it as well."""
