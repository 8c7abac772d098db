"""The door: who is let in is answered, who cannot be is refused at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guard_service.errors import Overloaded


class Door:
    """At most `max_concurrent_requests` inside, of which bulk work has at most half."""

    def __init__(self, max_concurrent_requests: int) -> None:
        self._max = max_concurrent_requests
        self._all = asyncio.Semaphore(max_concurrent_requests)
        self._bulk = asyncio.Semaphore(max(max_concurrent_requests // 2, 1))
        self._calls: Counter[str] = Counter()  # interactive ones inside, by tenant or host
        self._num_bulk = 0

    @asynccontextmanager
    async def interactive(self, share: str) -> AsyncIterator[None]:
        """Let one call in, or raise Overloaded."""
        if self._all.locked() or self._is_greedy(share):
            raise Overloaded
        async with self._all:
            self._calls[share] += 1
            try:
                yield
            finally:
                self._calls -= Counter({share: 1})  # in place, and without the zeros

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[None]:
        """Let one item of a stream in as soon as there is room: its stream waits meanwhile."""
        async with self._bulk, self._all:
            self._num_bulk += 1
            try:
                yield
            finally:
                self._num_bulk -= 1

    def _is_greedy(self, share: str) -> bool:
        """The last quarter of the places is not for one who has a quarter already."""
        is_tight = self._calls.total() + self._num_bulk >= self._max * 3 / 4
        return is_tight and self._calls[share] >= max(self._max / 4, 2)
