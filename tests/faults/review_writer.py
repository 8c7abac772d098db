"""Writes, claims and resolves review items until it is killed; says what was acknowledged.

python review_writer.py URL NUMBER
"""

import asyncio
import sys
import uuid
from datetime import UTC, datetime
from itertools import count

from review_items import item

from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore


async def write(url: str, number: str) -> None:
    store = ReviewStore(url)
    await store.start()
    queue, reviewer = ReviewQueue(store, draw=lambda: 0.9), Reviewer(f"writer-{number}", "")
    for n in count():
        made = item(id=uuid.uuid4().hex, request_id=f"{number}-{n}", created_at=datetime.now(UTC))
        print("added", await store.add(made), flush=True)
        if n % 2 and (claim := await queue.claim(reviewer, 0.05)):
            held = Held(claim.item.id, claim.token)
            await queue.resolve(reviewer, held, Answer(Outcome.UPHELD))
            print("resolved", claim.item.id, flush=True)


if __name__ == "__main__":
    asyncio.run(write(*sys.argv[1:]))
