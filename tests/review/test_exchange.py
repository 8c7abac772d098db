"""Answers from elsewhere become resolutions, once."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
from review_items import item
from sqlalchemy import func, select

from guard_service.review import exchange
from guard_service.review.cipher import Sealer
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.exchange import Taken, Wanted, export, take
from guard_service.review.item import Outcome, Place, Record
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore, open_store
from guard_service.review.table import review_events, review_resolutions

UPHELD, OVERTURNED = Answer(Outcome.UPHELD, ("S1",)), Answer(Outcome.OVERTURNED, ("S2",))
ANN, BOB = Reviewer("import/ann", None), Reviewer("import/bob", None)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[ReviewStore]:
    async with open_store(database_url, Sealer([b"k" * 32])) as store:
        yield store


async def taken(store: ReviewStore, reviewer: Reviewer, item_id: str, answer: Answer) -> Taken:
    return await store.database.run(
        partial(take, reviewer=reviewer, item_id=item_id, answer=answer, sealer=store.sealer)
    )


async def exported(store: ReviewStore, wanted: Wanted) -> list[str]:
    return [each.item.id async for each in export(store.database, wanted)]


async def num_rows(store: ReviewStore) -> tuple[int, int]:
    counts = [select(func.count()).select_from(t) for t in (review_resolutions, review_events)]
    return await store.database.read(
        lambda c: tuple(c.execute(count).scalar_one() for count in counts)  # type: ignore[return-value]
    )


async def test_the_same_answer_twice_changes_nothing_the_second_time(store: ReviewStore) -> None:
    made = await store.add(item(1))
    assert await taken(store, ANN, made, UPHELD) is Taken.RESOLVED
    before = await num_rows(store)
    assert await taken(store, ANN, made, UPHELD) is Taken.UNCHANGED
    assert await taken(store, ANN, made, OVERTURNED) is Taken.UNCHANGED
    assert await num_rows(store) == before
    record: Record = await store.get(made)
    assert record.outcome is Outcome.UPHELD
    assert [each.reviewer for each in record.resolutions] == ["import/ann"]


async def test_two_looks_come_from_two_annotators(store: ReviewStore) -> None:
    made = await store.add(item(1, place=Place(looks_wanted=2)))
    assert await taken(store, ANN, made, UPHELD) is Taken.RESOLVED
    assert (await store.get(made)).outcome is None
    assert await taken(store, BOB, made, UPHELD) is Taken.RESOLVED
    assert (await store.get(made)).outcome is Outcome.UPHELD


async def test_what_somebody_holds_here_is_left_to_them(store: ReviewStore) -> None:
    made = await store.add(item(1))
    queue = ReviewQueue(store, draw=lambda: 0.9)
    claim = await queue.claim(Reviewer("cy", None), 60)
    assert claim
    assert await taken(store, ANN, made, UPHELD) is Taken.HELD
    await queue.resolve(Reviewer("cy", None), Held(made, claim.token), OVERTURNED)
    assert await taken(store, ANN, made, UPHELD) is Taken.CLOSED
    assert (await store.get(made)).outcome is Outcome.OVERTURNED


async def test_another_tenants_item_is_unknown(store: ReviewStore) -> None:
    made = await store.add(item(1, tenant="a"))
    assert await taken(store, Reviewer("import", "b"), made, UPHELD) is Taken.UNKNOWN
    assert await taken(store, ANN, "0" * 32, UPHELD) is Taken.UNKNOWN


async def test_what_waits_is_exported_and_golden_items_never_are(store: ReviewStore) -> None:
    ids = [await store.add(item(n, tenant="ab"[n % 2])) for n in range(4)]
    for made in ids[:2]:
        await taken(store, ANN, made, UPHELD)
    await ReviewQueue(store).mark_golden(ANN, ids[0])
    assert await exported(store, Wanted()) == ids[2:]
    assert await exported(store, Wanted(with_closed=True)) == ids[1:]
    assert await exported(store, Wanted("a")) == [ids[2]]


async def test_more_items_than_a_page_are_exported_each_once(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_PAGE", 3)
    ids = [await store.add(item(n)) for n in range(7)]
    assert await exported(store, Wanted()) == ids
