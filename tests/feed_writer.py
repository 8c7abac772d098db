"""Writes, resolves and appeals review items, and commits some of it late."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from review_items import item
from sqlalchemy import event

from guard_service.errors import NotAppealable
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore

NUM_WRITERS = 4
LATE_S = 0.03


@asynccontextmanager
async def writing(store: ReviewStore, seed: int, pause_s: float = 0.005) -> AsyncIterator[None]:
    """Meanwhile the feed grows, out of order where the database lets it."""
    late, stopping = random.Random(seed), asyncio.Event()
    event.listen(store.database.engine, "commit", lambda _: time.sleep(late.uniform(0, LATE_S)))
    writers = [
        _write(store, random.Random(seed + n), pause_s, stopping) for n in range(NUM_WRITERS)
    ]
    tasks = [asyncio.create_task(each) for each in writers]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def _write(
    store: ReviewStore, draw: random.Random, pause_s: float, stopping: asyncio.Event
) -> None:
    queue = ReviewQueue(store, draw=lambda: 0.9)
    while not stopping.is_set():
        made = item(
            id=uuid.uuid4().hex,
            request_id=uuid.uuid4().hex,
            created_at=datetime.now(UTC),
            place=Place(looks_wanted=draw.choice((1, 2))),
        )
        await store.add(made)
        for name in ("ann", "ben", "cleo")[: draw.randint(0, 3)]:
            await _resolve(queue, Reviewer(name, None), draw)
        await asyncio.sleep(draw.uniform(0, pause_s))


async def _resolve(queue: ReviewQueue, reviewer: Reviewer, draw: random.Random) -> None:
    claim = await queue.claim(reviewer, 60)
    if claim is None:
        return
    outcome = draw.choice(list(Outcome))
    await queue.resolve(reviewer, Held(claim.item.id, claim.token), Answer(outcome))
    if draw.random() < 0.3:
        with suppress(NotAppealable):
            await queue.appeal(Reviewer("dan", None), claim.item.id)
