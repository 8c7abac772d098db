"""RabbitMQ: a durable topic exchange, and a quorum queue of its name that has every event.

A message is confirmed once that queue has it on disk. Consumers may bind queues of their own.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange

from guard_service.review.event import CONTENT_TYPE, Event
from guard_service.review.sink.connection import ANSWER_S, ready_or_closed


@dataclass(frozen=True, slots=True)
class RabbitConnection:
    connection: AbstractConnection
    exchange: AbstractExchange

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.gather(*map(self._send, events))

    async def close(self) -> None:
        await self.connection.close()

    async def _send(self, event: Event) -> None:
        message = aio_pika.Message(
            event.to_json().encode(),
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=event.id,
        )
        await self.exchange.publish(message, event.type, mandatory=True, timeout=ANSWER_S)


async def connect(url: str, topic: str) -> RabbitConnection:
    connection = await aio_pika.connect(url, timeout=ANSWER_S)
    async with ready_or_closed(connection.close):
        # Without the second a message that no queue takes is confirmed all the same.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.declare_exchange(topic, aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue(
            topic, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(exchange, "#")
    return RabbitConnection(connection, exchange)
