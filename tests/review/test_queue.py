import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from review_items import end_lease, item
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from guard_service.errors import (
    ClaimLost,
    InvalidRequest,
    NotAppealable,
    NotResolved,
    ReviewItemUnknown,
)
from guard_service.review.claim import Answer, Claim, Held, Reviewer, Route, Shares
from guard_service.review.item import Lane, Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.selection import choose
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_items, review_resolutions

ANN, BEN, CAT = (Reviewer(name, "") for name in ("ann", "ben", "cat"))
UPHELD, OVERTURNED = Answer(Outcome.UPHELD), Answer(Outcome.OVERTURNED, ("S2",))


@pytest.fixture
def queue(store: ReviewStore) -> ReviewQueue:
    return ReviewQueue(store, draw=lambda: 0.9)  # the ranked lane


async def taken(queue: ReviewQueue, reviewer: Reviewer = ANN) -> Claim:
    claim = await queue.claim(reviewer, 60)
    assert claim is not None
    return claim


def held(claim: Claim) -> Held:
    return Held(claim.item.id, claim.token)


async def look(queue: ReviewQueue, reviewer: Reviewer, answer: Answer = UPHELD) -> str:
    claim = await taken(queue, reviewer)
    await queue.resolve(reviewer, held(claim), answer)
    return claim.item.id


async def test_an_item_is_held_by_one_person_until_they_resolve_it(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    claim = await taken(queue)
    assert await queue.claim(BEN, 60) is None
    await queue.resolve(ANN, held(claim), OVERTURNED)
    record = await store.get(item().id)
    assert record.outcome is Outcome.OVERTURNED
    assert [(each.reviewer, each.codes) for each in record.resolutions] == [("ann", ("S2",))]
    assert await queue.claim(BEN, 60) is None


async def test_whoever_lost_the_lease_is_refused_and_changes_nothing(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    stale = held(await taken(queue))
    await end_lease(store, item().id)
    later = await taken(queue, BEN)
    assert later.token > stale.token
    for act in (
        queue.renew(ANN, stale, 60),
        queue.release(ANN, stale),
        queue.resolve(ANN, stale, UPHELD),
        queue.resolve(ANN, held(later), UPHELD),  # not hers, although she knows the token
    ):
        with pytest.raises(ClaimLost):
            await act
    await queue.resolve(BEN, held(later), OVERTURNED)
    assert [r.reviewer for r in (await store.get(item().id)).resolutions] == ["ben"]


async def test_the_same_person_with_an_old_token_is_stale_too(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    old = held(await taken(queue))
    await end_lease(store, item().id)
    await taken(queue)
    with pytest.raises(ClaimLost):
        await queue.resolve(ANN, old, UPHELD)


async def test_a_lease_that_ended_is_not_renewed_even_if_nobody_else_came(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    claim = await taken(queue)
    await end_lease(store, item().id)
    with pytest.raises(ClaimLost):
        await queue.renew(ANN, held(claim), 60)


async def test_renewing_holds_it_for_longer_and_releasing_lets_others_have_it(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    claim = await taken(queue)
    assert (await queue.renew(ANN, held(claim), 600)).lease_until > claim.lease_until
    await queue.release(ANN, held(claim))
    assert (await taken(queue, BEN)).item.id == claim.item.id


async def test_the_most_urgent_goes_first_and_age_tells_among_equals(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    now = datetime.now(UTC)
    waiting = [(0, 2, 60), (1, 10, 60), (2, 10, 90), (3, 2, 3600 * 24)]
    for number, level, age_s in waiting:
        created = now - timedelta(seconds=age_s)
        await store.add(item(number, created_at=created, place=Place(level=level)))
    order = [(await taken(queue)).item.id for _ in waiting]
    assert order == [item(number).id for number in (3, 2, 1, 0)]


async def test_routes_are_by_category_tenant_and_language(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    for number, (category, language, tenant) in enumerate(
        itertools.product(("S1", "S2"), ("de", "en"), ("", "acme"))
    ):
        place = Place(category=category, language=language)
        await store.add(item(number, tenant=tenant, place=place))
    route = Route(("S2",), ("de",))
    claim = await queue.claim(Reviewer("ann", "acme"), 60, route)
    assert claim is not None
    assert (claim.item.tenant, claim.item.place.category, claim.item.place.language) == (
        "acme",
        "S2",
        "de",
    )
    assert await queue.claim(Reviewer("ann", "acme"), 60, route) is None


async def test_an_item_of_another_tenant_is_unknown_like_none_at_all(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item(tenant="acme"))
    claim = await taken(queue, Reviewer("ann", "acme"))
    stranger = Reviewer("ann", "other")
    assert await queue.claim(stranger, 60) is None
    for act in (
        queue.renew(stranger, held(claim), 60),
        queue.release(stranger, held(claim)),
        queue.resolve(stranger, held(claim), UPHELD),
        queue.appeal(stranger, claim.item.id),
        queue.mark_golden(stranger, claim.item.id),
        store.get(claim.item.id, "other"),
        queue.appeal(ANN, "0" * 31 + "9"),
    ):
        with pytest.raises(ReviewItemUnknown):
            await act


async def test_the_second_look_is_by_somebody_else_who_sees_nothing_of_the_first(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item(place=Place(looks_wanted=2)))
    await look(queue, ANN)
    record = await store.get(item().id)
    assert (record.outcome, record.resolutions) == (None, ())
    assert await queue.claim(ANN, 60) is None
    await look(queue, BEN)
    assert (await store.get(item().id)).outcome is Outcome.UPHELD


async def test_the_database_itself_refuses_a_second_look_by_the_same_person(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    await look(queue, ANN)
    again = {"item_id": item().id, "look": 2, "reviewer": "ann", "token": 9, "codes": ""}
    with pytest.raises(IntegrityError), store.database.engine.begin() as connection:
        connection.execute(
            insert(review_resolutions).values(**again, outcome="upheld", resolved_ms=0)
        )


async def test_where_two_people_disagree_a_third_decides(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item(place=Place(looks_wanted=2)))
    await look(queue, ANN, UPHELD)
    await look(queue, BEN, OVERTURNED)
    assert (await store.get(item().id)).outcome is None
    await look(queue, CAT, OVERTURNED)
    record = await store.get(item().id)
    assert (record.outcome, len(record.resolutions)) == (Outcome.OVERTURNED, 3)


async def test_an_appeal_is_heard_once_by_somebody_else_who_may_overturn(
    store: ReviewStore, queue: ReviewQueue
) -> None:
    await store.add(item())
    with pytest.raises(NotAppealable):
        await queue.appeal(ANN, item().id)
    await look(queue, ANN, UPHELD)
    await queue.appeal(CAT, item().id, "appeal-1")
    await queue.appeal(CAT, item().id, "appeal-1")  # sent again
    assert await queue.claim(ANN, 60) is None
    await look(queue, BEN, OVERTURNED)
    record = await store.get(item().id)
    assert (record.outcome, record.is_appealed) == (Outcome.OVERTURNED, True)
    with pytest.raises(NotAppealable):
        await queue.appeal(CAT, item().id)


async def test_what_is_sent_again_is_done_once(store: ReviewStore, queue: ReviewQueue) -> None:
    for number in range(3):
        await store.add(item(number))
    first = await queue.claim(ANN, 60, request_id="c\x00")
    assert first is not None
    assert await queue.claim(ANN, 60, request_id="c\x00") == first
    for _ in range(2):
        await queue.resolve(ANN, held(first), UPHELD, "r")
    assert len((await store.get(first.item.id)).resolutions) == 1
    second = await queue.claim(BEN, 60, request_id="c\x00")  # another person's id is another
    assert second is not None
    assert second.item.id != first.item.id
    with pytest.raises(InvalidRequest, match="request_id"):
        await queue.resolve(ANN, held(first), OVERTURNED, "r")


async def test_the_same_claim_sent_twice_at_once_is_one(store: ReviewStore) -> None:
    for number in range(8):
        await store.add(item(number))
    queue = ReviewQueue(store, draw=lambda: 0.9)
    claims = await asyncio.gather(*(queue.claim(ANN, 60, request_id="c") for _ in range(8)))
    assert len({(c.item.id, c.token) for c in claims if c}) == 1


async def test_who_has_looked_while_the_database_was_choosing_is_given_another_item(
    store: ReviewStore, queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        await store.add(item(number, place=Place(looks_wanted=2)))
    seen = (await taken(queue)).item.id
    row = select(review_items.c.sequence).where(review_items.c.id == seen)
    sequence = await store.database.read(lambda c: c.execute(row).scalar_one())
    await queue.resolve(ANN, Held(seen, 1), UPHELD)
    stale = iter([sequence])
    monkeypatch.setattr(
        "guard_service.review.queue.choose", lambda *given: next(stale, None) or choose(*given)
    )
    assert (await taken(queue)).item.id != seen
    assert await queue.claim(ANN, 60) is None


async def test_a_golden_item_goes_to_each_reviewer_once_and_keeps_its_outcome(
    store: ReviewStore,
) -> None:
    queue = ReviewQueue(store, Shares(golden=0.5), draw=lambda: 0.1)
    await store.add(item())
    with pytest.raises(NotResolved):
        await queue.mark_golden(ANN, item().id)
    await look(queue, ANN)
    await queue.mark_golden(ANN, item().id)
    assert (await store.get(item().id)).outcome is None  # nobody can tell it from others
    for reviewer in (BEN, CAT):
        await look(queue, reviewer, OVERTURNED)
        assert await queue.claim(reviewer, 60) is None
    assert await ReviewQueue(store, draw=lambda: 0.9).claim(Reviewer("dan", ""), 60) is None


async def test_random_and_golden_items_have_their_shares(store: ReviewStore) -> None:
    draws = [number / 64 for number in range(64)]
    queue = ReviewQueue(store, Shares(random=0.25, golden=0.125), draw=iter(draws).__next__)
    for number in range(128):
        lane = Lane.RANDOM if number % 2 else Lane.RANKED
        await store.add(item(number, place=Place(lane=lane)))
    lanes = [(await taken(queue)).item.place.lane for _ in draws]
    assert lanes.count(Lane.RANDOM) == 16  # there are no golden ones: their share is ranked


async def test_a_double_resolve_wins_once(store: ReviewStore, queue: ReviewQueue) -> None:
    await store.add(item())
    claim = await taken(queue)
    acts = [queue.resolve(ANN, held(claim), replace(UPHELD)) for _ in range(10)]
    results = await asyncio.gather(*acts, return_exceptions=True)
    assert [type(each) for each in results].count(ClaimLost) == 9
    assert len((await store.get(item().id)).resolutions) == 1
