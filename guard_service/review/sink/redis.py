"""Redis Streams: one stream, shortened to what the feed itself keeps.

Redis acknowledges before it is on disk: see docs/operations.md.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from guard_service.review.event import Event
from guard_service.review.sink.connection import ANSWER_S


@dataclass(frozen=True, slots=True)
class RedisConnection:
    client: Any  # typed for sync and async at once
    topic: str
    kept_s: float

    async def publish(self, events: Sequence[Event]) -> None:
        oldest = int((time.time() - self.kept_s) * 1000)  # an entry's id begins with its time
        async with self.client.pipeline(transaction=False) as pipe:
            for event in events:
                fields = {"id": event.id, "event": event.to_json()}
                pipe.xadd(self.topic, fields, minid=oldest, approximate=True)
            await pipe.execute()

    async def close(self) -> None:
        await self.client.aclose()


async def connect(url: str, topic: str, kept_s: float) -> RedisConnection:
    client = Redis.from_url(
        url,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
    )
    return RedisConnection(client, topic, kept_s)
