"""The queries of a claim go by their indexes, whoever asks and for what."""

import random
from collections import Counter

import pytest
from plans import plans_of
from review_items import item
from sqlalchemy import Connection, insert, text

from guard_service.review.claim import USUAL, Reviewer, Route
from guard_service.review.dialect import now_ms
from guard_service.review.item import Lane
from guard_service.review.row import row_from_item
from guard_service.review.selection import choose, draw_lanes, free_for
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_items

_NUM_ITEMS = 6000

ASKED = {
    "review_items_waiting": (Reviewer("ann", "acme"), Route()),
    "review_items_routed": (Reviewer("ann", "acme"), Route(("S3",))),
    "review_items_waiting_anywhere": (Reviewer("ann", None), Route()),
    "review_items_routed_anywhere": (Reviewer("ann", None), Route(("S3",))),
}


def test_of_many_claims_each_lane_is_tried_first_for_its_share_within_one_percent() -> None:
    draw = random.Random(1).random
    first = Counter(draw_lanes(USUAL, draw())[0] for _ in range(200_000))
    for lane, share in ((Lane.RANDOM, USUAL.random), (Lane.GOLDEN, USUAL.golden)):
        assert abs(first[lane] / first.total() - share) < 0.01


def fill(connection: Connection) -> None:
    """Mostly closed items, of tenants, categories and levels in turn."""
    lanes = ("closed", "closed", "closed", "ranked", "random")
    rows = [
        row_from_item(item(n))
        | {
            "tenant": "acme" if n % 7 else "beta",
            "lane": lanes[n % 5],
            "category": f"S{n % 13 + 1}",
            "level": n * 7919 % 16,
            "opened_ms": n,
        }
        for n in range(_NUM_ITEMS)
    ]
    connection.execute(insert(review_items), rows)
    connection.execute(text("ANALYZE"))


def plans(connection: Connection, reviewer: Reviewer, route: Route) -> list[str]:
    """Of every statement with which an item is chosen."""
    free = free_for(reviewer, route, Lane.RANKED, now_ms())
    chosen = list[int | None]()
    told = plans_of(
        connection, "review_items", lambda: chosen.append(choose(connection, free, now_ms()))
    )
    assert chosen != [None]
    return told


@pytest.mark.parametrize("index", ASKED)
async def test_a_claim_finds_its_item_by_an_index_made_for_it(
    index: str, store: ReviewStore
) -> None:
    await store.database.run(fill)
    told = await store.database.run(lambda c: plans(c, *ASKED[index]))
    assert len(told) == 2
    assert all(f"{index} " in plan or f"{index}\n" in plan for plan in told), told
