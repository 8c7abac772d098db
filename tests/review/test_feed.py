import asyncio
from collections.abc import AsyncIterator

import pytest
from review_items import item

from guard_service.errors import Overloaded, Unavailable
from guard_service.review.feed import Feed
from guard_service.review.store import ReviewStore


@pytest.fixture
async def feed(store: ReviewStore) -> AsyncIterator[Feed]:
    feed = Feed(store.database, kept_s=60, poll_s=0.01)
    async with feed.running():
        yield feed


async def test_who_watches_gets_what_there_is_and_then_what_comes(
    store: ReviewStore, feed: Feed
) -> None:
    await store.add(item(1))
    await feed.wait_beyond(0, 10)
    watching = feed.watch(None, None)
    assert [event.item_id for event in (await anext(watching)).events] == [item(1).id]
    assert (await anext(watching)).events == ()  # there is no more for now
    coming = asyncio.ensure_future(anext(watching))
    await store.add(item(2))
    assert [event.item_id for event in (await coming).events] == [item(2).id]
    await watching.aclose()


async def test_who_watches_hears_that_there_is_nothing_again_and_again(feed: Feed) -> None:
    watching = feed.watch(0, None, heartbeat_s=0.01)
    found = [await anext(watching) for _ in range(3)]
    assert [(each.events, each.position) for each in found] == [((), 0)] * 3
    await watching.aclose()


async def test_who_watches_is_sent_away_when_the_server_stops(feed: Feed) -> None:
    watching = feed.watch(None, None)
    await anext(watching)
    waiting = asyncio.ensure_future(anext(watching))
    await feed.end()
    with pytest.raises(Unavailable):
        await waiting


async def test_more_than_may_watch_are_refused_until_one_leaves(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guard_service.review.feed._MAX_WATCHERS", 1)
    first, second = feed.watch(None, None), feed.watch(None, None)
    await anext(first)
    with pytest.raises(Overloaded):
        await anext(second)
    await first.aclose()
    third = feed.watch(None, None)
    await anext(third)
    await third.aclose()


async def test_a_database_that_is_away_for_a_moment_stops_nothing(
    store: ReviewStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guard_service.review.feed._AWAY_S", 0.01)
    feed = Feed(store.database, kept_s=60, poll_s=0.01)
    rename = "ALTER TABLE review_events RENAME TO "
    await store.database.run(lambda c: c.exec_driver_sql(f"{rename} elsewhere"))
    async with feed.running():
        while "no event can be placed" not in caplog.text:
            await asyncio.sleep(0.01)
        back = "ALTER TABLE elsewhere RENAME TO review_events"
        await store.database.run(lambda c: c.exec_driver_sql(back))
        await store.add(item())
        await feed.wait_beyond(0, 10)
        assert len((await feed.read(0)).events) == 1
