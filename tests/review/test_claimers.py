"""GUARD_TEST_REVIEWERS sets how many take GUARD_TEST_ITEMS items from four servers at once."""

import asyncio
import os
from collections import Counter

import pytest
from review_items import end_lease, item

from guard_service.errors import ClaimLost
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Lane, Outcome
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore

_NUM_ITEMS = int(os.environ.get("GUARD_TEST_ITEMS", "60"))
_NUM_REVIEWERS = int(os.environ.get("GUARD_TEST_REVIEWERS", "16"))
_NUM_SERVERS = 4


async def work(store: ReviewStore, name: str, taken: list[tuple[str, int]]) -> None:
    """A reviewer who resolves what they get, but for every fifth item, at which they vanish."""
    queue, reviewer = ReviewQueue(store, draw=lambda: 0.9), Reviewer(name, "")
    while claim := await queue.claim(reviewer, 60):
        taken.append((claim.item.id, claim.token))
        held = Held(claim.item.id, claim.token)
        if len(taken) % 5 == 0:
            await end_lease(store, claim.item.id)
            with pytest.raises(ClaimLost):
                await queue.resolve(reviewer, held, Answer(Outcome.UPHELD))
        else:
            await queue.resolve(reviewer, held, Answer(Outcome.UPHELD))


async def test_many_claimers_on_several_servers_hold_no_item_twice_and_lose_none(
    database_url: str,
) -> None:
    stores = [ReviewStore(database_url) for _ in range(_NUM_SERVERS)]
    for store in stores:
        await store.start()
    for number in range(_NUM_ITEMS):
        await stores[0].add(item(number))
    taken: list[tuple[str, int]] = []
    names = [(stores[n % _NUM_SERVERS], f"reviewer-{n}") for n in range(_NUM_REVIEWERS)]
    await asyncio.gather(*(work(store, name, taken) for store, name in names))
    assert max(Counter(taken).values()) == 1  # each claim was given once
    print(f"{_NUM_REVIEWERS} reviewers, {len(taken)} claims of {_NUM_ITEMS} items, none held twice")
    items = (await stores[0].list_items(_NUM_ITEMS)).items
    assert {each.place.lane for each in items} == {Lane.CLOSED}
    records = [await stores[0].get(each.id) for each in items]
    assert [len(record.resolutions) for record in records] == [1] * _NUM_ITEMS
    for store in stores:
        await store.stop()
