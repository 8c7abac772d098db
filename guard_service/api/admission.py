"""The door: who is let in is answered, who cannot be is refused at once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from guard_service.batching.entry import Arrival
from guard_service.errors import Overloaded


class Door:
    """At most so many requests and bytes of them inside, of which bulk work has at most half."""

    def __init__(
        self,
        max_concurrent_requests: int,
        max_concurrent_bytes: int = 2**25,
        enter: Callable[[str], Arrival | None] = lambda _: Arrival(),
    ) -> None:
        """`enter` lets one more call of this share in, or none that would not soon be answered."""
        self._max = max_concurrent_requests
        self._max_bytes = max_concurrent_bytes
        self._all = asyncio.Semaphore(max_concurrent_requests)
        self._bulk = asyncio.Semaphore(max(max_concurrent_requests // 2, 1))
        self._calls: Counter[str] = Counter()  # interactive ones inside, by tenant or host
        self._num_bulk = 0
        self._num_bytes = 0
        self._enter = enter
        self._lighter = asyncio.Event()

    @asynccontextmanager
    async def interactive(self, share: str, num_bytes: int = 0) -> AsyncIterator[Arrival]:
        """Let one call in, or raise Overloaded; it is expected to ask until its arrival ends."""
        is_heavy = self._is_over(self._max_bytes, num_bytes)
        if self._all.locked() or is_heavy or self._is_greedy(share):
            raise Overloaded
        if (arrival := self._enter(share)) is None:
            raise Overloaded
        async with self._all:
            self._calls[share] += 1
            try:
                with self._weighed(num_bytes):
                    yield arrival
            finally:
                arrival.end()
                self._calls -= Counter({share: 1})  # in place, and without the zeros

    @asynccontextmanager
    async def bulk(self, num_bytes: int = 0) -> AsyncIterator[None]:
        """Let one item of a stream in as soon as there is room: its stream waits meanwhile."""
        async with self._bulk, self._all:
            while self._is_over(self._max_bytes // 2, num_bytes):
                self._lighter.clear()
                await self._lighter.wait()
            self._num_bulk += 1
            try:
                with self._weighed(num_bytes):
                    yield
            finally:
                self._num_bulk -= 1

    @contextmanager
    def _weighed(self, num_bytes: int) -> Iterator[None]:
        self._num_bytes += num_bytes
        try:
            yield
        finally:
            self._num_bytes -= num_bytes
            self._lighter.set()

    def _is_over(self, max_bytes: int, num_bytes: int) -> bool:
        """Whether so many bytes more are too many; one request alone never is."""
        return self._num_bytes > 0 and self._num_bytes + num_bytes > max_bytes

    def _is_greedy(self, share: str) -> bool:
        """The last quarter of the places is not for one who has a quarter already."""
        is_tight = self._calls.total() + self._num_bulk >= self._max * 3 / 4
        return is_tight and self._calls[share] >= max(self._max / 4, 2)
