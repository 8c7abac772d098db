"""GUARD_TEST_REVIEWERS sets how many take GUARD_TEST_ITEMS items from four servers at once.

GUARD_TEST_CLAIMS sets of how many claims the lanes are counted, GUARD_TEST_DOUBLES how many items
two people's pages resolve at once.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from length import length
from review_items import end_lease, item
from sqlalchemy import insert

from guard_service.errors import ClaimLost
from guard_service.review.claim import USUAL, Answer, Claim, Held, Reviewer
from guard_service.review.item import Lane, Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.row import row_from_item
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_items

_NUM_ITEMS = length("ITEMS", 60, full=2000)
_NUM_REVIEWERS = length("REVIEWERS", 16, full=64)
_NUM_CLAIMS = length("CLAIMS", 200, full=15_000)
_NUM_DOUBLES = length("DOUBLES", 10, full=1000)
_SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
_NUM_SERVERS = 4

UPHELD = Answer(Outcome.UPHELD)


@pytest.fixture
async def stores(database_url: str) -> AsyncIterator[Sequence[ReviewStore]]:
    """Those of several servers, on one database."""
    stores = [ReviewStore(database_url) for _ in range(_NUM_SERVERS)]
    for store in stores:
        await store.start()
    yield stores
    for store in stores:
        await store.stop()


def held(claim: Claim) -> Held:
    return Held(claim.item.id, claim.token)


async def work(store: ReviewStore, name: str, taken: list[tuple[str, int]]) -> None:
    """A reviewer who resolves what they get, but for every fifth item, at which they vanish."""
    queue, reviewer = ReviewQueue(store, draw=lambda: 0.9), Reviewer(name, "")
    while claim := await queue.claim(reviewer, 60):
        taken.append((claim.item.id, claim.token))
        if len(taken) % 5 == 0:
            await end_lease(store, claim.item.id)
            with pytest.raises(ClaimLost):
                await queue.resolve(reviewer, held(claim), UPHELD)
        else:
            await queue.resolve(reviewer, held(claim), UPHELD)


async def test_many_claimers_on_several_servers_hold_no_item_twice_and_lose_none(
    stores: Sequence[ReviewStore],
) -> None:
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


async def fill(store: ReviewStore) -> None:
    """More in each lane than will be claimed of it."""
    per_reviewer = _NUM_CLAIMS // _NUM_REVIEWERS + 1  # who is given each golden item once
    counts = {Lane.RANKED: _NUM_CLAIMS, Lane.RANDOM: _NUM_CLAIMS // 4, Lane.GOLDEN: per_reviewer}
    lanes = [lane for lane, count in counts.items() for _ in range(count)]
    rows = [row_from_item(item(n, place=Place(lane=lane))) for n, lane in enumerate(lanes)]
    await store.database.run(lambda c: c.execute(insert(review_items), rows))


async def test_of_what_many_reviewers_are_given_each_lane_has_its_share(
    stores: Sequence[ReviewStore],
) -> None:
    await fill(stores[0])
    given, draw = Counter[Lane](), random.Random(_SEED).random

    async def review(store: ReviewStore, reviewer: Reviewer) -> None:
        queue = ReviewQueue(store, draw=draw)
        while given.total() < _NUM_CLAIMS:
            claim = await queue.claim(reviewer, 60)
            assert claim is not None
            given[claim.item.place.lane] += 1
            await queue.resolve(reviewer, held(claim), UPHELD)

    people = [Reviewer(f"reviewer-{n}", "") for n in range(_NUM_REVIEWERS)]
    await asyncio.gather(*(review(stores[n % _NUM_SERVERS], p) for n, p in enumerate(people)))
    shares = {lane.value: count / given.total() for lane, count in given.items()}
    print(f"{given.total()} claims: {shares}")
    for lane, share in ((Lane.RANDOM, USUAL.random), (Lane.GOLDEN, USUAL.golden)):
        chance = 4 * (share * (1 - share) / _NUM_CLAIMS) ** 0.5  # 1 % is more from 14,400 on
        assert abs(given[lane] / given.total() - share) < max(chance, 0.01)


async def test_of_two_resolutions_at_once_on_two_servers_one_wins(
    stores: Sequence[ReviewStore],
) -> None:
    ann, (one, other) = Reviewer("ann", ""), [ReviewQueue(store) for store in stores[:2]]
    for number in range(_NUM_DOUBLES):
        await stores[0].add(item(number))
        claim = await one.claim(ann, 60)
        assert claim is not None
        acts = [queue.resolve(ann, held(claim), UPHELD) for queue in (one, other)]
        results = await asyncio.gather(*acts, return_exceptions=True)
        assert sorted(type(each).__name__ for each in results) == ["ClaimLost", "NoneType"]
        assert len((await stores[0].get(claim.item.id)).resolutions) == 1
    print(f"{_NUM_DOUBLES} resolved twice at once, one wins each")
