"""A broker that is killed keeps what it acknowledged, and the relay brings it the rest.

GUARD_TEST_BROKER_KILLS sets how often each is killed. Each is a process of this test's own.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest
from broker_processes import BrokerProcess, broker_process
from faults.test_feed import check
from feed_writer import writing
from length import length
from services import postgresql_url
from sqlalchemy import select

from guard_service.review.database import Database
from guard_service.review.feed import Feed
from guard_service.review.relay import Relay
from guard_service.review.sink.choice import open_sinks
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_sinks

NUM_KILLS = length("BROKER_KILLS", 1, full=30)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))


@pytest.mark.parametrize("name", ["nats", "rabbitmq", "redis"])
async def test_a_broker_that_is_killed_loses_nothing(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    with postgresql_url() as url, broker_process(name, folder) as (broker, process):
        store, inbox = ReviewStore(url), tmp_path / "inbox.db"
        await store.start()
        feed = Feed(store.database, kept_s=3600, poll_s=0.05)
        (sink,) = open_sinks(broker.settings)
        async with feed.running(), Relay(feed, sink).running():
            async with writing(store, SEED, pause_s=0.2):
                await kill_often(process, store.database)
            num_events = await check(store, broker, inbox)
        await store.stop()
    print(f"{name}: killed {NUM_KILLS} times, {num_events} events, none lost, each item's in order")


async def kill_often(process: BrokerProcess, database: Database) -> None:
    """Each time once something was published since the last."""
    draw, last, position = random.Random(SEED), 0, select(review_sinks.c.position)
    for number in range(NUM_KILLS):
        while (now := await database.read(lambda c: c.execute(position).scalar() or 0)) <= last:
            await asyncio.sleep(0.05)
        last = now
        await asyncio.sleep(0 if number else process.settle_s)
        await asyncio.sleep(draw.uniform(0, 0.3))
        process.kill()
        await asyncio.sleep(draw.uniform(0, 0.2))
        await asyncio.to_thread(process.start)
