"""Writes, claims and resolves review items until it is killed; says what was acknowledged."""

import asyncio
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from multiprocessing.connection import Connection

from review_items import item

from guard_service.errors import ClaimLost
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore


def write(url: str, number: int, acknowledge: Connection) -> None:
    asyncio.run(_write(url, number, acknowledge))


async def _write(url: str, number: int, acknowledge: Connection) -> None:
    store = ReviewStore(url)  # not started: migrating would take most of its life
    queue, reviewer = ReviewQueue(store, draw=lambda: 0.9), Reviewer(f"writer-{number}", "")
    for n in count():
        made = item(id=uuid.uuid4().hex, request_id=f"{number}-{n}", created_at=datetime.now(UTC))
        acknowledge.send(("added", await store.add(made)))
        with suppress(ClaimLost):  # the lease is short, so that others take what is left
            if n % 2 and (claim := await queue.claim(reviewer, 0.05)):
                held = Held(claim.item.id, claim.token)
                await queue.resolve(reviewer, held, Answer(Outcome.UPHELD))
                acknowledge.send(("resolved", claim.item.id))
