"""PostgreSQL is killed under load, and what was acknowledged is there once.

GUARD_TEST_BACKEND_KILLS and GUARD_TEST_POSTMASTER_KILLS set how often.
"""

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar

import pytest
from cluster import Cluster, postgresql_cluster
from length import length
from review_items import item
from sqlalchemy import Connection, select

from guard_service.errors import StoreUnavailable
from guard_service.review.audit import link_entries
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.feed import Feed
from guard_service.review.item import Outcome
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.review.table import (
    review_audit,
    review_events,
    review_items,
    review_resolutions,
)
from guard_service.review.verification import verify

NUM_BACKEND_KILLS = length("BACKEND_KILLS", 2, full=100)
NUM_POSTMASTER_KILLS = length("POSTMASTER_KILLS", 1, full=30)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
_NUM_CALLERS = 4

T = TypeVar("T")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgresql_cluster() as cluster:
        yield cluster


async def answered(call: Callable[[], Awaitable[T]]) -> T:
    """Sent again until it is."""
    while True:
        try:
            return await call()
        except StoreUnavailable:
            await asyncio.sleep(0.02)


class Load:
    """Callers that send each request again until it is acknowledged, and keep what was."""

    def __init__(self, store: ReviewStore) -> None:
        self._store = store
        self._queue = ReviewQueue(store, draw=lambda: 0.9)
        self.added: list[str] = []
        self.resolved: list[str] = []

    @asynccontextmanager
    async def running(self) -> Any:
        feed = Feed(self._store.database, 86400)
        async with feed.running():
            callers = [asyncio.create_task(self._call()) for _ in range(_NUM_CALLERS)]
            yield
            for caller in callers:
                caller.cancel()
            ended = await asyncio.gather(*callers, return_exceptions=True)
        assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    async def goes_on(self) -> None:
        """Return once something more was acknowledged."""
        before = len(self.added) + len(self.resolved)
        async with asyncio.timeout(120):
            while len(self.added) + len(self.resolved) < before + _NUM_CALLERS:
                await asyncio.sleep(0.01)

    async def _call(self) -> None:
        reviewer = Reviewer(uuid.uuid4().hex, "")
        for n in count():
            made = item(id=uuid.uuid4().hex, request_id=f"{reviewer.name}-{n}")
            self.added.append(await answered(partial(self._store.add, made)))
            asked = partial(self._queue.claim, reviewer, 600, request_id=f"claim-{n}")
            if claim := await answered(asked):
                held, said = Held(claim.item.id, claim.token), Answer(Outcome.UPHELD)
                await answered(partial(self._queue.resolve, reviewer, held, said, f"resolve-{n}"))
                self.resolved.append(held.item_id)


def counted(connection: Connection) -> dict[str, Counter[str]]:
    """By what is counted: how often each item, or each request, is there."""
    is_added = review_events.c.kind == "added"
    statements = {
        "items": select(review_items.c.id),
        "requests": select(review_items.c.request_id),
        "added": select(review_events.c.item_id).where(is_added),
        "decided": select(review_audit.c.item_id).where(review_audit.c.act == "decided"),
        "resolved": select(review_audit.c.item_id).where(review_audit.c.act == "resolved"),
        "resolutions": select(review_resolutions.c.item_id),
    }
    return {name: Counter(connection.execute(each).scalars()) for name, each in statements.items()}


async def check(store: ReviewStore, load: Load) -> str:
    while await store.database.run(link_entries):
        pass
    head = await verify(store.database)
    found = await store.database.read(counted)
    assert all(set(times.values()) == {1} for times in found.values()), "doubled"
    assert set(load.added) <= set(found["items"]), "lost"
    assert set(load.resolved) <= set(found["resolutions"]), "lost"
    assert found["items"] == found["added"] == found["decided"]
    assert found["resolutions"] == found["resolved"]
    told = f"{len(load.added)} items and {len(load.resolved)} resolutions acknowledged"
    return f"{told}, 0 lost, 0 doubled, {head.position} entries of the audit log whole"


async def test_killed_backends_lose_and_double_nothing(cluster: Cluster) -> None:
    store, draw = ReviewStore(cluster.url), random.Random(SEED)
    await store.start()
    load, num_kills = Load(store), 0
    async with load.running():
        while num_kills < NUM_BACKEND_KILLS:
            await load.goes_on()
            await asyncio.sleep(draw.uniform(0, 0.1))
            num_kills += await asyncio.to_thread(cluster.kill_backend, draw)
        await load.goes_on()
    print(f"{num_kills} backends killed: {await check(store, load)}")
    await store.stop()


async def test_a_killed_postmaster_loses_and_doubles_nothing(cluster: Cluster) -> None:
    store, draw = ReviewStore(cluster.url), random.Random(SEED)
    await store.start()
    load = Load(store)
    async with load.running():
        for _ in range(NUM_POSTMASTER_KILLS):
            await load.goes_on()
            await asyncio.sleep(draw.uniform(0, 0.1))
            cluster.kill_postmaster()
            await asyncio.to_thread(cluster.start)
        await load.goes_on()
    print(f"{NUM_POSTMASTER_KILLS} postmasters killed: {await check(store, load)}")
    await store.stop()
