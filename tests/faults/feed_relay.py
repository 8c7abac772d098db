"""Publishes the feed and is killed between publishing and marking, again and again; then lives on.

python feed_relay.py DATABASE_URL FEED_URL WEBHOOK_SECRET TOPIC NUM_DEATHS SEED
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from typing import Any

from guard_service.config import Settings
from guard_service.review.database import Database
from guard_service.review.event import Event
from guard_service.review.feed import Feed
from guard_service.review.relay import Relay, Sink
from guard_service.review.sink.choice import open_sinks

LEASE_S = 0.5


class Dying:
    """Kills its process once so many waves are acknowledged."""

    def __init__(self, sink: Sink, num_waves: int) -> None:
        self.name, self._sink, self._left = sink.name, sink, num_waves

    async def publish(self, events: Sequence[Event]) -> None:
        await self._sink.publish(events)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def close(self) -> None:
        await self._sink.close()


async def relay(database_url: str, settings: Settings, num_waves: int) -> None:
    database = Database(database_url)
    feed = Feed(database, kept_s=3600, poll_s=0.05)
    (sink,) = open_sinks(settings)
    async with feed.running(), Relay(feed, Dying(sink, num_waves), LEASE_S).running():
        await asyncio.Event().wait()


def main(database_url: str, feed_url: str, secret: str, topic: str, deaths: str, seed: str) -> None:
    draw = random.Random(int(seed))
    where: dict[str, Any] = {"webhook_url": feed_url, "webhook_secret": secret}
    if not secret:
        where = {"feed_url": feed_url}
    settings = Settings(feed_topic=topic, **where)
    for number in range(int(deaths)):
        if pid := os.fork():  # every life begins without what the one before knew
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            print("died", number, flush=True)
        else:
            asyncio.run(relay(database_url, settings, draw.randint(1, 4)))
    asyncio.run(relay(database_url, settings, -1))


if __name__ == "__main__":
    main(*sys.argv[1:])
