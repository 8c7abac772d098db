from datetime import UTC, datetime, timedelta

from review_items import item

from guard_service.decision import ReviewReason
from guard_service.review.claim import Answer, Held, Reviewer, Route
from guard_service.review.figures import Agreement, Split, count_waiting, read_figures
from guard_service.review.item import Lane, Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore

UPHELD, OVERTURNED = Answer(Outcome.UPHELD), Answer(Outcome.OVERTURNED)


async def said(queue: ReviewQueue, name: str, answer: Answer) -> str:
    reviewer = Reviewer(name, None)
    claim = await queue.claim(reviewer, 60, with_text=False)
    assert claim is not None
    await queue.resolve(reviewer, Held(claim.item.id, claim.token), answer)
    return claim.item.id


async def test_the_figures_count_what_people_said(store: ReviewStore) -> None:
    queue, golden = ReviewQueue(store, draw=lambda: 0.9), ReviewQueue(store, draw=lambda: 0.0)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    place = Place(category="S1", looks_wanted=2)
    await store.add(item(0, created_at=yesterday, place=place, unsafe_score=0.52))
    await said(queue, "ann", UPHELD)
    await said(queue, "ben", OVERTURNED)
    await said(queue, "cat", OVERTURNED)
    sampled = Place(lane=Lane.RANDOM, category="S2")
    await store.add(item(1, reason=ReviewReason.SAMPLED, place=sampled, unsafe_score=1.0))
    await queue.mark_golden(Reviewer("ann", None), await said(queue, "ann", UPHELD))
    await said(golden, "ben", OVERTURNED)
    await store.add(item(2, created_at=datetime.now(UTC), unsafe_score=None))
    figures = await read_figures(store.database, None)
    assert figures.by_category == {"S1": Split(0, 1), "S2": Split(1, 0)}
    assert figures.with_model == Agreement(1, 2)
    assert figures.with_model_sampled == Agreement(1, 1)
    assert figures.between_people == Agreement(0, 1)
    assert figures.on_golden == Agreement(0, 1)
    assert [n for n, each in enumerate(figures.scores) if each.outcomes.num_all] == [10, 19]
    assert [day.num_opened for day in figures.days[-2:]] == [1, 1]
    assert figures.days[-1].num_closed == 2
    assert figures.days[-1].backlog == 1


async def test_what_waits_is_counted_by_view_without_what_is_withheld(store: ReviewStore) -> None:
    for number, code in enumerate(["S1", "S1", "S4"]):
        place = Place(category=code, language="de")
        await store.add(item(number, codes=(code,), place=place))
    await ReviewQueue(store, draw=lambda: 0.9).claim(Reviewer("ann", None), 60)
    waiting = await count_waiting(store.database, "", Route(withheld=("S4",)))
    assert (waiting.num_all, waiting.num_held) == (2, 1)
    assert waiting.by_category == {"S1": 2}
    assert waiting.by_language == {"de": 2}
    assert (await count_waiting(store.database, "acme", Route())).num_all == 0
