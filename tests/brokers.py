"""The brokers that the feed can be published to, each with a topic that is gone afterwards."""

import base64
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import nats
import redis
from services import kafka_url, nats_url, rabbitmq_url, redis_url

from guard_service.config import Settings


@dataclass(frozen=True)
class Broker:
    name: str
    url: str
    topic: str
    secret: str = ""

    @property
    def settings(self) -> Settings:
        if self.secret:
            return Settings(webhook_url=self.url, webhook_secret=self.secret)
        return Settings(feed_url=self.url, feed_topic=self.topic)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname and parts.port
        return parts.hostname, parts.port

    def at_port(self, port: int) -> "Broker":
        """The same, by way of a proxy."""
        return replace(self, url=self.url.replace(f":{self.address[1]}", f":{port}"))

    @property
    def example(self) -> tuple[str, ...]:
        """What its example consumer is started with, but for the inbox."""
        host, port = self.address
        if self.name == "webhook":
            return "from_webhook.py", str(port), self.secret
        url = f"{host}:{port}" if self.name == "kafka" else self.url
        return f"from_{self.name}.py", url, self.topic


@asynccontextmanager
async def broker_of(name: str) -> AsyncIterator[Broker]:
    topic = f"guard_test.t{uuid.uuid4().hex}"
    if name == "kafka":
        with kafka_url() as url:
            yield Broker(name, url, topic)
    elif name == "webhook":
        secret = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
        yield Broker(name, f"http://127.0.0.1:{free_port()}/", topic, secret)
    else:
        url_of, forget = _SHARED[name]
        broker = Broker(name, url_of(), topic)
        try:
            yield broker
        finally:
            await forget(broker)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def _forget_nats(broker: Broker) -> None:
    client = await nats.connect(broker.url)
    await client.jetstream().delete_stream(broker.topic.replace(".", "_"))
    await client.close()


async def _forget_rabbitmq(broker: Broker) -> None:
    async with await aio_pika.connect(broker.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(broker.topic)
        await channel.exchange_delete(broker.topic)


async def _forget_redis(broker: Broker) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.delete(broker.topic)


_SHARED: dict[str, tuple[Callable[[], str], Callable[[Broker], Coroutine[Any, Any, None]]]] = {
    "nats": (nats_url, _forget_nats),
    "rabbitmq": (rabbitmq_url, _forget_rabbitmq),
    "redis": (redis_url, _forget_redis),
}
