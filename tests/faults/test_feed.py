"""Consumers get the committed events and no others, each item's in order, whatever breaks.

GUARD_TEST_RELAY_KILLS sets how often the relay is killed between publishing and marking,
GUARD_TEST_BROKER_CUTS how often each broker is cut off, GUARD_TEST_EVENTS how many are read along.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from brokers import Broker, broker_of
from consumers import consuming, environment, wait_for
from feed_writer import writing
from length import length
from services import postgresql_url
from sqlalchemy import select
from tcp_proxy import TcpProxy

from guard_service.review.database import Database
from guard_service.review.feed import Feed
from guard_service.review.relay import Relay
from guard_service.review.sink.choice import open_sinks
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_events, review_sinks

NUM_KILLS = length("RELAY_KILLS", 2, full=300)
NUM_CUTS = length("BROKER_CUTS", 2, full=30)
NUM_EVENTS = length("EVENTS", 300, full=20_000)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
events = review_events.c

Told = list[tuple[str, str]]  # events as (item's id, event's id), in their order


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'guard.db'}"
    else:
        with postgresql_url() as url:
            yield url


@pytest.fixture
def server() -> Iterator[str]:
    with postgresql_url() as url:
        yield url


@dataclass
class Reader:
    """Reads along: as the feed is to be read, and by the last sequence it saw."""

    database: Database
    fed: Told = field(default_factory=list)
    naive: Told = field(default_factory=list)

    async def follow(self, feed: Feed) -> None:
        async for found in feed.watch(None, None):
            self.fed += [(event.item_id, event.id) for event in found.events]

    async def poll(self) -> None:
        columns, last = (events.sequence, events.item_id, events.id), 0
        while True:
            later = select(*columns).where(events.sequence > last).order_by(events.sequence)
            rows = await self.database.read(lambda c, q=later: c.execute(q).all())
            self.naive += [(row.item_id, row.id) for row in rows]
            last = rows[-1].sequence if rows else last
            await asyncio.sleep(0.02)


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Reader]:
    """On a connection of its own; at the end it has read what there is."""
    reader = Reader(Database(url))
    feed = Feed(reader.database, kept_s=3600, poll_s=0.05)
    async with feed.running():
        tasks = [asyncio.create_task(work) for work in (reader.follow(feed), reader.poll())]
        yield reader
        async with asyncio.timeout(30):
            while len(reader.fed) < len(await committed(reader.database)):
                await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await reader.database.stop()


async def committed(database: Database) -> Told:
    """What there is, in the order in which each item's was written."""
    all_of_it = select(events.item_id, events.id).order_by(events.sequence)
    return [
        (row.item_id, row.id) for row in await database.read(lambda c: c.execute(all_of_it).all())
    ]


def by_item(told: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for item_id, event_id in told:
        found[item_id].append(event_id)
    return dict(found)


@contextmanager
def dying_relay(url: str, broker: Broker) -> Iterator["subprocess.Popen[str]"]:
    script = str(Path(__file__).parent / "feed_relay.py")
    arguments = url, broker.url, broker.secret, broker.topic, str(NUM_KILLS), str(SEED)
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_deaths(process: "subprocess.Popen[str]") -> None:
    assert process.stdout
    for _ in range(NUM_KILLS):
        assert process.stdout.readline().startswith("died")


async def check(store: ReviewStore, broker: Broker, inbox: Path) -> int:
    """The consumer has just what was committed, each item's events in order; how many."""
    wanted = await committed(store.database)
    with consuming(inbox, *broker.example):  # also of what it had taken and not acknowledged
        # Each kill may have brought a wave once more, in which there is nothing new.
        got = await asyncio.to_thread(wait_for, inbox, len(wanted), 30.0 + NUM_KILLS)
    assert by_item((each["subject"], each["id"]) for each in got) == by_item(wanted)
    return len(wanted)


async def test_readers_of_the_feed_miss_nothing_where_readers_by_sequence_do(url: str) -> None:
    store = ReviewStore(url)
    await store.start()
    async with reading(url) as reader:
        async with writing(store, SEED):
            while len(reader.fed) < NUM_EVENTS:
                await asyncio.sleep(0.05)
        wanted = await committed(store.database)
    assert by_item(reader.fed) == by_item(wanted)
    num_missed = len(set(wanted) - set(reader.naive))
    assert store.database.is_sqlite or num_missed > 0
    print(f"{len(wanted)} events: 0 missed by position, {num_missed} by sequence")
    await store.stop()


@pytest.mark.parametrize("name", ["nats", "rabbitmq", "redis", "kafka", "webhook"])
async def test_a_relay_that_dies_between_publishing_and_marking_loses_nothing(
    name: str, server: str, tmp_path: Path
) -> None:
    store, inbox = ReviewStore(server), tmp_path / "inbox.db"
    await store.start()
    async with broker_of(name) as broker:
        with dying_relay(server, broker) as relay:
            async with writing(store, SEED, pause_s=0.2):
                with receiving(broker, inbox):
                    await asyncio.to_thread(wait_for_deaths, relay)
            num_events = await check(store, broker, inbox)
    print(f"{name}: {NUM_KILLS} kills, {num_events} events, none lost, each item's in order")
    await store.stop()


@pytest.mark.parametrize("name", ["nats", "rabbitmq", "redis", "webhook"])
async def test_a_broker_that_is_cut_off_loses_nothing(
    name: str, server: str, tmp_path: Path
) -> None:
    store, inbox = ReviewStore(server), tmp_path / "inbox.db"
    await store.start()
    feed = Feed(store.database, kept_s=3600, poll_s=0.05)
    async with broker_of(name) as broker, TcpProxy(*broker.address).running() as proxy:
        (sink,) = open_sinks(broker.at_port(proxy.port).settings)
        async with feed.running(), Relay(feed, sink).running():
            async with writing(store, SEED):
                with receiving(broker, inbox):
                    await cut_often(proxy, store.database)
            num_events = await check(store, broker, inbox)
    print(f"{name}: {NUM_CUTS} cuts, {num_events} events, none lost, each item's in order")
    await store.stop()


def receiving(broker: Broker, inbox: Path) -> AbstractContextManager[None]:
    """Brokers keep what comes, but for webhooks and the mock cluster: that keeps 5 MB."""
    is_kept = not broker.secret and broker.name != "kafka"
    return nullcontext() if is_kept else consuming(inbox, *broker.example)


async def cut_often(proxy: TcpProxy, database: Database) -> None:
    """Each time once something was published since the last."""
    draw, last, position = random.Random(SEED), 0, select(review_sinks.c.position)
    for _ in range(NUM_CUTS):
        while (now := await database.read(lambda c: c.execute(position).scalar() or 0)) <= last:
            await asyncio.sleep(0.05)
        last = now
        await asyncio.sleep(draw.uniform(0, 0.1))
        proxy.is_open = False
        proxy.cut()
        await asyncio.sleep(draw.uniform(0, 0.2))
        proxy.is_open = True
