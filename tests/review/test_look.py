from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from review_items import end_lease, item
from sqlalchemy import event, select, update

from guard_service.conversation import Conversation, Message, Role
from guard_service.errors import ClaimLost, NotAppealable
from guard_service.review.cipher import Sealer
from guard_service.review.claim import Answer, Claim, Held, Reviewer, Route
from guard_service.review.item import Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore, open_store
from guard_service.review.table import review_items, review_reads, review_resolutions

ANN, BEN = Reviewer("ann", ""), Reviewer("ben", "")
UPHELD, OVERTURNED = Answer(Outcome.UPHELD, note="as said"), Answer(Outcome.OVERTURNED, ("S2",))


@pytest.fixture
def queue(store: ReviewStore) -> ReviewQueue:
    return ReviewQueue(store, draw=lambda: 0.9)


async def taken(queue: ReviewQueue, reviewer: Reviewer = ANN) -> Claim:
    claim = await queue.claim(reviewer, 60, with_text=False)
    assert claim is not None
    return claim


def held(claim: Claim) -> Held:
    return Held(claim.item.id, claim.token)


async def state(store: ReviewStore) -> tuple[object, ...]:
    """All of the item that a look changes, and the looks."""
    columns = [review_items.c[name] for name in ("lane", "outcome", "num_looks", "looks_wanted")]
    looks = select(review_resolutions.c.reviewer).order_by(review_resolutions.c.look)
    return await store.database.read(
        lambda c: (tuple(c.execute(select(*columns)).one()), tuple(c.execute(looks).scalars()))
    )


class Died(Exception):
    """The server went between two statements."""


async def test_a_server_that_dies_at_any_statement_of_a_resolution_leaves_all_as_it_was(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    mine, engine = held(await taken(queue)), store.database.engine
    before = await state(store)
    for num_statements in count(1):
        left = [num_statements]

        def die(*_: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Died

        event.listen(engine, "before_cursor_execute", die)
        with suppress(Died):
            await queue.resolve(ANN, mine, UPHELD)
        event.remove(engine, "before_cursor_execute", die)
        if left[0] > 0:
            break
        assert await state(store) == before
        assert await queue.holding(ANN) == (mine,)
    assert num_statements > 5
    assert await state(store) != before


@pytest.mark.parametrize("looks", [1, 2])
async def test_what_is_taken_back_is_as_if_it_had_not_been_said(
    store: ReviewStore, queue: ReviewQueue, looks: int
) -> None:
    await store.add(item(place=Place(looks_wanted=looks)))
    mine = held(await taken(queue))
    before = await state(store)
    await queue.resolve(ANN, mine, UPHELD)
    await queue.undo(ANN, mine)
    assert await state(store) == before
    assert await queue.holding(ANN) == (mine,)
    await queue.resolve(ANN, mine, OVERTURNED)  # and can be said anew


async def test_a_disagreement_that_is_taken_back_asks_for_no_third_look(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item(place=Place(looks_wanted=2)))
    await queue.resolve(ANN, held(await taken(queue)), UPHELD)
    second = held(await taken(queue, BEN))
    before = await state(store)
    await queue.resolve(BEN, second, OVERTURNED)
    assert await state(store) != before
    await queue.undo(BEN, second)
    assert await state(store) == before


async def test_nothing_is_taken_back_once_somebody_else_has_the_item(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item(place=Place(looks_wanted=2)))
    mine = held(await taken(queue))
    await queue.resolve(ANN, mine, UPHELD)
    await taken(queue, BEN)
    with pytest.raises(ClaimLost):
        await queue.undo(ANN, mine)


@pytest.mark.parametrize("act", ["appeal", "mark_golden"])
async def test_nothing_is_taken_back_that_a_later_act_stands_on(
    store: ReviewStore, queue: ReviewQueue, act: str
) -> None:
    await store.add(item())
    mine = held(await taken(queue))
    await queue.resolve(ANN, mine, UPHELD)
    await getattr(queue, act)(BEN, mine.item_id)
    before = await state(store)
    with pytest.raises(ClaimLost):
        await queue.undo(ANN, mine)
    assert await state(store) == before


async def test_nothing_is_taken_back_twice_by_others_or_after_the_lease(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    mine = held(await taken(queue))
    await queue.resolve(ANN, mine, UPHELD)
    with pytest.raises(ClaimLost):
        await queue.undo(BEN, mine)
    over = update(review_resolutions).values(undo_until_ms=1)
    await store.database.run(lambda c: c.execute(over))
    with pytest.raises(ClaimLost):
        await queue.undo(ANN, mine)


async def test_the_known_answer_of_a_golden_item_survives_an_undo(store: ReviewStore) -> None:
    queue = ReviewQueue(store, draw=lambda: 0.0)
    await store.add(item())
    await queue.resolve(ANN, held(await taken(queue)), UPHELD)
    await queue.mark_golden(ANN, item().id)
    mine = held(await taken(queue, BEN))
    before = await state(store)
    await queue.resolve(BEN, mine, OVERTURNED)
    await queue.undo(BEN, mine)
    assert await state(store) == before
    with pytest.raises(NotAppealable):
        await queue.appeal(ANN, item().id)


async def test_a_text_that_leaves_the_store_is_kept_as_read(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    said = Conversation((Message(Role.USER, "hello"),))
    await store.add(item(place=Place(keep_text_s=60), conversation=said))
    claim = await taken(queue)
    assert claim.item.conversation is None
    assert (await queue.look(ANN, held(claim))).item.conversation is None
    reads = select(review_reads.c.item_id, review_reads.c.reviewer)
    assert await store.database.read(lambda c: c.execute(reads).all()) == []
    assert (await queue.read_text(ANN, held(claim))).item.conversation == said
    rows = await store.database.read(lambda c: c.execute(reads).all())
    assert [tuple(row) for row in rows] == [(item().id, "ann")]


async def test_who_lost_the_lease_reads_nothing(store: ReviewStore, queue: ReviewQueue) -> None:
    await store.add(item())
    mine = held(await taken(queue))
    await end_lease(store, item().id)
    for act in (queue.look, queue.read_text):
        with pytest.raises(ClaimLost):
            await act(ANN, mine)
    assert await queue.holding(ANN) == ()


async def test_an_item_with_a_withheld_category_is_not_given_even_if_another_is_stronger(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item(codes=("S1", "S4")))
    assert await queue.claim(ANN, 60, Route(withheld=("S4",))) is None
    assert await queue.claim(ANN, 60, Route(withheld=("S14", "S3"))) is not None


async def test_a_note_is_kept_with_the_resolution(store: ReviewStore, queue: ReviewQueue) -> None:
    await store.add(item())
    await queue.resolve(ANN, held(await taken(queue)), UPHELD)
    (resolution,) = (await store.get(item().id)).resolutions
    assert resolution.note == "as said"


async def test_a_note_is_sealed_where_there_are_keys(database_url: str) -> None:
    async with open_store(database_url, Sealer([b"k" * 32])) as store:
        queue = ReviewQueue(store, draw=lambda: 0.9)
        await store.add(item())
        await queue.resolve(ANN, held(await taken(queue)), UPHELD)
        kept = select(review_resolutions.c.note)
        assert "as said" not in await store.database.read(lambda c: c.execute(kept).scalar_one())
        assert [look.note for look in (await store.get(item().id)).resolutions] == ["as said"]
