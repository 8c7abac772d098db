"""What is not counted but looked at: queue, engines, readiness, review backlog, event loop."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from guard_service.batching.entry import Lane
from guard_service.errors import StoreUnavailable
from guard_service.sight import metrics

log = logging.getLogger(__name__)

_TURN_S = 0.25
_BACKLOG_S = 15.0
_DEAD_S = 10.0  # an event loop that has stood still so long may do so for ever


class Waiting(Protocol):
    """One lane of the queue."""

    num_entries: int
    num_tokens: int


class Backlog(Protocol):
    async def num_waiting(self) -> int: ...


class Behind(Protocol):
    """What publishes to a sink."""

    async def num_behind(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to look; all but the backlog are asked from other threads."""

    is_ready: Callable[[], bool]
    num_engines: Callable[[], int]
    lanes: Mapping[Lane, Waiting]
    backlog: Backlog
    sinks: Mapping[str, Behind] = field(default_factory=dict)


class Gauges:
    def __init__(self, sources: Sources) -> None:
        self._backlog = sources.backlog
        self._sinks = sources.sinks
        self._turned_s = time.monotonic()
        self.is_ready = sources.is_ready
        metrics.READY.set_function(sources.is_ready)
        metrics.ENGINES.set_function(sources.num_engines)
        for lane, waiting in sources.lanes.items():
            look = partial(getattr, waiting)
            metrics.QUEUE_PROMPTS.labels(lane.value).set_function(partial(look, "num_entries"))
            metrics.QUEUE_TOKENS.labels(lane.value).set_function(partial(look, "num_tokens"))

    def is_alive(self) -> bool:
        """Whether the event loop has turned lately."""
        return time.monotonic() - self._turned_s < _DEAD_S

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Measure the event loop and count the review items meanwhile."""
        tasks = [asyncio.create_task(work) for work in (self._measure_lag(), self._count())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _measure_lag(self) -> None:
        while True:
            self._turned_s = time.monotonic()
            await asyncio.sleep(_TURN_S)
            metrics.LOOP_LAG.observe(max(time.monotonic() - self._turned_s - _TURN_S, 0.0))

    async def _count(self) -> None:
        while True:
            try:
                metrics.REVIEW_BACKLOG.set(await self._backlog.num_waiting())
                for name, sink in self._sinks.items():
                    metrics.FEED_BEHIND.labels(name).set(await sink.num_behind())
            except StoreUnavailable:  # the last number stays; whoever writes is told
                log.warning("review items were not counted", extra={"action": "backlog_unknown"})
            await asyncio.sleep(_BACKLOG_S)
