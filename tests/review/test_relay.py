from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from review_items import item

from guard_service.errors import SinkUnavailable
from guard_service.review import outbox
from guard_service.review.event import Event, EventKind
from guard_service.review.feed import Feed
from guard_service.review.place import Place, set_back
from guard_service.review.relay import Relay, pause_s, waves
from guard_service.review.store import ReviewStore


@dataclass
class Sink:
    """Keeps what it acknowledged; fails while a test says so."""

    name: str = "nats"
    waves: list[list[str]] = field(default_factory=list)
    num_failures: int = 0

    @property
    def events(self) -> list[str]:
        return [item_id for wave in self.waves for item_id in wave]

    async def publish(self, events: Sequence[Event]) -> None:
        if self.num_failures:
            self.num_failures -= 1
            raise SinkUnavailable
        self.waves.append([event.item_id for event in events])

    async def close(self) -> None:
        pass


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(database_url)
    await store.start()
    for number in range(3):
        await store.add(item(number))
    await store.database.run(outbox.place)
    yield store
    await store.stop()


@pytest.fixture
def feed(store: ReviewStore) -> Feed:
    return Feed(store.database, kept_s=60)


ALL = [item(number).id for number in range(3)]


async def test_what_is_published_is_marked_and_not_published_again(feed: Feed) -> None:
    sink = Sink()
    relay = Relay(feed, sink, lease_s=0.03)
    assert await relay.num_behind() == 3
    await relay.turn()
    await relay.turn()
    assert sink.events == ALL
    assert await relay.num_behind() == 0


async def test_what_is_not_acknowledged_is_published_again(feed: Feed) -> None:
    sink = Sink(num_failures=1)
    relay = Relay(feed, sink)
    with pytest.raises(SinkUnavailable):
        await relay.turn()
    assert await relay.num_behind() == 3
    await relay.turn()
    assert sink.events == ALL


async def test_one_server_publishes_and_another_takes_over_once_it_has_left(feed: Feed) -> None:
    first, second = Sink(), Sink()
    holding, waiting = Relay(feed, first, lease_s=0.03), Relay(feed, second, lease_s=0.03)
    async with holding.running():
        await holding.turn()
        await waiting.turn()
        assert second.events == []
    await feed.database.run(lambda c: set_back(c, "nats", 0))
    await waiting.turn()
    assert second.events == ALL


class Overtaken(Sink):
    """While it publishes, another server has taken the sink over."""

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed

    async def publish(self, events: Sequence[Event]) -> None:
        await super().publish(events)
        await self._feed.database.run(lambda c: set_back(c, "nats", 0))
        await self._feed.database.run(Place("nats", "another", lease_s=60).take)


async def test_who_lost_the_lease_marks_nothing(feed: Feed) -> None:
    relay = Relay(feed, Overtaken(feed))
    await relay.turn()
    assert await relay.num_behind() == 3


async def test_set_back_publishes_again_what_came_after(feed: Feed) -> None:
    sink = Sink()
    relay = Relay(feed, sink)
    await relay.turn()
    assert not await feed.database.run(lambda c: set_back(c, "kafka", 0))
    assert not await feed.database.run(lambda c: set_back(c, "nats", 4))
    assert await feed.database.run(lambda c: set_back(c, "nats", 1))
    await relay.turn()
    assert sink.events == ALL + ALL[1:]


async def test_a_sink_that_fails_is_tried_until_it_takes_all_and_the_log_says_so_once(
    feed: Feed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guard_service.review.relay.pause_s", lambda _: 0.0)
    caplog.set_level("INFO")
    sink = Sink(num_failures=3)
    relay = Relay(feed, sink)
    async with feed.running(), relay.running():
        while await relay.num_behind():
            pass
    assert sink.events == ALL
    actions = [getattr(record, "action", "") for record in caplog.records]
    told = [action for action in actions if action.startswith("feed_sink")]
    assert told == ["feed_sink_lost", "feed_sink_back"]


def event(item_id: str, position: int) -> Event:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return Event(f"{position:032x}", EventKind.ADDED, item_id, "", at, {}, position)


def test_no_wave_has_two_events_of_an_item_and_none_overtakes_an_earlier_one() -> None:
    events = [event(item_id, number) for number, item_id in enumerate("abacba")]
    found = [[each.position for each in wave] for wave in waves(events)]
    assert found == [[0, 1, 3], [2, 4], [5]]


def test_pauses_grow_to_half_a_minute_and_no_further() -> None:
    assert [pause_s(number) <= longest for number, longest in ((1, 0.5), (2, 1.0))] == [True] * 2
    assert all(15 <= pause_s(number) <= 30 for number in (7, 1000))
