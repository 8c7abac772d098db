import time

import pytest
from review_items import end_lease, item
from sqlalchemy import Connection, select, update

from guard_service.errors import ClaimLost, CursorUnknown
from guard_service.review import outbox
from guard_service.review.claim import Answer, Claim, Held, Reviewer
from guard_service.review.event import Event, EventKind
from guard_service.review.item import Outcome, Place
from guard_service.review.place import Place as SinkPlace
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_events

ANN, BEN, CLEO = (Reviewer(name, None) for name in ("ann", "ben", "cleo"))
UPHELD, OVERTURNED = Answer(Outcome.UPHELD, ("S1",)), Answer(Outcome.OVERTURNED)
DAY_MS = 24 * 3600 * 1000


async def told(store: ReviewStore, after: int | None = None) -> list[Event]:
    await store.database.run(outbox.place)
    found = await store.database.read(lambda c: outbox.read(c, after, None, 1000))
    return list(found.events)


async def resolve(store: ReviewStore, reviewer: Reviewer, answer: Answer) -> Claim:
    queue = ReviewQueue(store, draw=lambda: 0.9)
    claim = await queue.claim(reviewer, 60)
    assert claim is not None
    await queue.resolve(reviewer, Held(claim.item.id, claim.token), answer)
    return claim


async def test_a_new_item_is_an_event_and_the_same_request_again_is_none(
    store: ReviewStore,
) -> None:
    await store.add(item(1, tenant="acme"))
    await store.add(item(2, tenant="acme", request_id="request-1"))
    (event,) = await told(store)
    assert (event.kind, event.item_id, event.tenant) == (EventKind.ADDED, item(1).id, "acme")
    assert event.data["codes"] == ["S1", "S10"]
    assert event.data["labels"] == item().labels


async def test_what_a_first_look_said_stays_untold_until_the_item_is_resolved(
    store: ReviewStore,
) -> None:
    await store.add(item(place=Place(looks_wanted=2)))
    await resolve(store, ANN, UPHELD)
    await resolve(store, BEN, OVERTURNED)  # they differ, so a third decides
    await resolve(store, CLEO, OVERTURNED)
    _, *looks, resolved = await told(store)
    assert [event.kind for event in looks] == [EventKind.LOOKED] * 2
    assert [dict(event.data) for event in looks] == [
        {"look": 1, "looks_wanted": 2},
        {"look": 2, "looks_wanted": 3},
    ]
    assert resolved.data["outcome"] == "overturned"
    said = [look["outcome"] for look in resolved.data["looks"]]
    assert said == ["upheld", "overturned", "overturned"]
    assert resolved.data["looks"][0]["codes"] == ["S1"]


async def test_an_appeal_and_what_comes_of_it_are_events(store: ReviewStore) -> None:
    await store.add(item())
    await resolve(store, ANN, UPHELD)
    await ReviewQueue(store).appeal(ANN, item().id)
    await resolve(store, BEN, OVERTURNED)
    kinds = [event.kind.value for event in await told(store)]
    assert kinds == ["added", "resolved", "appealed", "resolved"]


async def test_what_is_taken_back_is_told_so(store: ReviewStore) -> None:
    await store.add(item())
    queue = ReviewQueue(store, draw=lambda: 0.9)
    claim = await queue.claim(ANN, 60)
    assert claim is not None
    mine = Held(claim.item.id, claim.token)
    await queue.resolve(ANN, mine, UPHELD)
    await queue.undo(ANN, mine)
    *_, resolved, retracted = await told(store)
    assert (resolved.kind, retracted.kind) == (EventKind.RESOLVED, EventKind.RETRACTED)
    assert retracted.data == {"look": 1}


async def test_what_is_refused_is_no_event(store: ReviewStore) -> None:
    await store.add(item())
    queue = ReviewQueue(store, draw=lambda: 0.9)
    claim = await queue.claim(ANN, 60)
    assert claim is not None
    await end_lease(store, claim.item.id)
    with pytest.raises(ClaimLost):
        await queue.resolve(ANN, Held(claim.item.id, claim.token), UPHELD)
    assert len(await told(store)) == 1


async def test_a_look_at_a_golden_item_is_no_event(store: ReviewStore) -> None:
    await store.add(item())
    await resolve(store, ANN, UPHELD)
    queue = ReviewQueue(store, draw=lambda: 0.0)
    await queue.mark_golden(ANN, item().id)
    claim = await queue.claim(BEN, 60)
    assert claim is not None
    await queue.resolve(BEN, Held(claim.item.id, claim.token), UPHELD)
    assert [event.kind.value for event in await told(store)] == ["added", "resolved"]


def naive(connection: Connection, after: int) -> list[tuple[int, str]]:
    later = select(review_events.c.sequence, review_events.c.id)
    rows = connection.execute(later.where(review_events.c.sequence > after)).all()
    return [(row.sequence, row.id) for row in rows]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_a_row_that_commits_late_is_missed_by_sequence_and_not_by_position(
    store: ReviewStore,
) -> None:
    with store.database.engine.connect() as late:
        outbox.record(late, EventKind.ADDED, item(1).id, "", {})
        await store.add(item(2))
        (early,) = await told(store)
        ((last, _),) = await store.database.read(lambda c: naive(c, 0))
        late.commit()
    (found,) = await told(store, early.position)
    assert found.item_id == item(1).id
    assert await store.database.read(lambda c: naive(c, last)) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_while_one_server_places_another_does_not_wait(store: ReviewStore) -> None:
    await store.add(item())
    with store.database.engine.connect() as first:
        assert outbox.place(first) == 1
        assert await store.database.run(outbox.place) == 0
        first.commit()
    assert len(await told(store)) == 1


async def test_a_tenant_reads_its_own_events_and_goes_on_past_those_of_others(
    store: ReviewStore,
) -> None:
    for number, tenant in enumerate(("acme", "beta", "acme", "beta")):
        await store.add(item(number, tenant=tenant))
    await store.database.run(outbox.place)
    found = await store.database.read(lambda c: outbox.read(c, None, "acme", 10))
    assert [event.item_id for event in found.events] == [item(0).id, item(2).id]
    assert found.position == 4


async def test_slices_follow_one_another_without_gap_or_repeat(store: ReviewStore) -> None:
    for number in range(5):
        await store.add(item(number))
    await store.database.run(outbox.place)
    after, seen = None, []
    for _ in range(4):
        found = await store.database.read(lambda c, a=after: outbox.read(c, a, None, 2))  # type: ignore[misc]
        after, seen = found.position, seen + [event.position for event in found.events]
    assert seen == [1, 2, 3, 4, 5]


async def test_a_cursor_that_the_feed_has_not_come_to_is_refused(store: ReviewStore) -> None:
    await store.add(item())
    assert await told(store, 1) == []
    with pytest.raises(CursorUnknown):
        await told(store, 2)


async def age(store: ReviewStore, position: int) -> None:
    """As if the events up to there had happened two days ago."""
    old = update(review_events).where(review_events.c.position <= position)
    two_days_ago = int(time.time() * 1000) - 2 * DAY_MS
    await store.database.run(lambda c: c.execute(old.values(occurred_ms=two_days_ago)))


async def test_old_events_are_deleted_and_a_reader_that_still_needs_them_is_told(
    store: ReviewStore,
) -> None:
    for number in range(4):
        await store.add(item(number))
    await told(store)
    await age(store, 3)
    assert await store.database.run(lambda c: outbox.purge(c, DAY_MS)) == 3
    assert [event.position for event in await told(store)] == [4]
    assert [event.position for event in await told(store, 3)] == [4]
    with pytest.raises(CursorUnknown):
        await told(store, 2)


async def test_a_position_is_never_given_twice(store: ReviewStore) -> None:
    await store.add(item(1))
    await told(store)
    await age(store, 1)
    await store.database.run(lambda c: outbox.purge(c, DAY_MS))
    await store.add(item(2))
    assert [event.position for event in await told(store)] == [2]


async def test_what_a_sink_lacks_is_kept_for_as_long_as_a_server_serves_it(
    store: ReviewStore,
) -> None:
    sink = SinkPlace("nats", "server", lease_s=60)
    await store.database.run(sink.take)
    for number in range(2):
        await store.add(item(number))
    await told(store)
    await age(store, 2)
    await store.database.run(lambda c: sink.mark(c, 1))
    assert await store.database.run(lambda c: outbox.purge(c, DAY_MS)) == 1
    left = SinkPlace("nats", "server", lease_s=-2 * 24 * 3600)
    await store.database.run(left.take)
    assert await store.database.run(lambda c: outbox.purge(c, DAY_MS)) == 1
