"""Kafka: one topic, keyed by item, so that an item's events are in one partition and in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiokafka import AIOKafkaProducer
from aiokafka.helpers import create_ssl_context

from guard_service.review.event import CONTENT_TYPE, Event
from guard_service.review.sink.connection import ANSWER_S, ready_or_closed

_HEADERS = [("content-type", CONTENT_TYPE.encode())]


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    producer: AIOKafkaProducer
    topic: str

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.gather(*map(self._send, events))

    async def close(self) -> None:
        await self.producer.stop()

    async def _send(self, event: Event) -> None:
        key, value = event.item_id.encode(), event.to_json().encode()
        await self.producer.send_and_wait(self.topic, value, key=key, headers=_HEADERS)


async def connect(url: str, topic: str) -> KafkaConnection:
    """`kafka://host:port,host:port`; `kafkas://` with TLS."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "kafkas"
    producer = AIOKafkaProducer(
        bootstrap_servers=parts.netloc.split(","),
        enable_idempotence=True,  # acknowledged by all replicas in sync
        request_timeout_ms=int(ANSWER_S * 1000),
        security_protocol="SSL" if is_secure else "PLAINTEXT",
        ssl_context=create_ssl_context() if is_secure else None,
    )
    async with ready_or_closed(producer.stop):
        await producer.start()
    return KafkaConnection(producer, topic)
