"""Publishes the feed to one sink, at least once and each item's events in order.

    take the sink -> read what it lacks -> publish, and wait until it is acknowledged -> mark

What was published and not marked is published again: consumers know events by their ids. Several
servers may try; the sink's lease lets one.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from guard_service.errors import GuardError, SinkUnavailable, StoreUnavailable
from guard_service.review.event import Event
from guard_service.review.feed import Feed
from guard_service.review.place import Place, num_behind

log = logging.getLogger(__name__)

_LEASE_S = 15.0
_PUBLISH_S = 10.0  # for what goes out together; less than the lease
_LONGEST_PAUSE_S = 30.0


class Sink(Protocol):
    """Where events go; `name` is its kind."""

    @property
    def name(self) -> str: ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Return once all are acknowledged; SinkUnavailable where some may not be."""

    async def close(self) -> None: ...


class Relay:
    def __init__(self, feed: Feed, sink: Sink, lease_s: float = _LEASE_S) -> None:
        self._feed = feed
        self._sink = sink
        self._lease_s = lease_s
        self._place = Place(sink.name, uuid.uuid4().hex, lease_s)
        self._num_failures = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with suppress(StoreUnavailable):
                await self._feed.database.run(self._place.leave)
            await self._sink.close()

    async def turn(self) -> None:
        """Publish and mark what the sink lacks, or wait for something to publish."""
        position = await self._feed.database.run(self._place.take)
        if position is None:
            await asyncio.sleep(self._lease_s / 3)
            return
        found = await self._feed.read(position)
        for wave in waves(found.events):
            await self._publish(wave)
        if found.events:
            await self._feed.database.run(lambda c: self._place.mark(c, found.position))
        else:
            await self._feed.wait_beyond(found.position, self._lease_s / 3)

    async def num_behind(self) -> int:
        """How many events wait to be published."""
        return await self._feed.database.read(lambda c: num_behind(c, self._sink.name))

    async def _run(self) -> None:
        while True:
            try:
                await self.turn()
                self._note(None)
            except Exception as error:  # of ours too: it must not end publishing for good
                self._note(error)
                await asyncio.sleep(pause_s(self._num_failures))

    async def _publish(self, wave: Sequence[Event]) -> None:
        try:
            async with asyncio.timeout(_PUBLISH_S):
                await self._sink.publish(wave)
        except TimeoutError:
            raise SinkUnavailable("it did not answer in time") from None

    def _note(self, error: Exception | None) -> None:
        """Log that the sink went or came back, once."""
        was_away = self._num_failures > 0
        self._num_failures = self._num_failures + 1 if error else 0
        if error and not was_away:
            problem = str(error) if isinstance(error, GuardError) else type(error).__name__
            extra = {"action": "feed_sink_lost", "sink": self._sink.name, "problem": problem}
            log.error("events wait until they can be published", extra=extra)
        elif was_away and not error:
            extra = {"action": "feed_sink_back", "sink": self._sink.name}
            log.info("events are published again", extra=extra)


def waves(events: Sequence[Event]) -> Iterator[list[Event]]:
    """What may go out together: of each item one event, so that none overtakes an earlier one."""
    left = list(events)
    while left:
        first = {event.item_id: event for event in reversed(left)}
        yield [event for event in left if first[event.item_id] is event]
        left = [event for event in left if first[event.item_id] is not event]


def pause_s(num_failures: int) -> float:
    """Before the next try: twice as long each time, and never all servers at once."""
    longest = min(0.25 * 2 ** min(num_failures, 10), _LONGEST_PAUSE_S)
    return random.uniform(longest / 2, longest)
