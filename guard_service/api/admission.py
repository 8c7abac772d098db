"""The door: who is let in is answered, who cannot be is refused at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guard_service.errors import Overloaded


class Door:
    """At most `max_concurrent_requests` inside, of which bulk work has at most half."""

    def __init__(self, max_concurrent_requests: int) -> None:
        self._all = asyncio.Semaphore(max_concurrent_requests)
        self._bulk = asyncio.Semaphore(max(max_concurrent_requests // 2, 1))

    @asynccontextmanager
    async def interactive(self) -> AsyncIterator[None]:
        """Let one call in, or raise Overloaded."""
        if self._all.locked():
            raise Overloaded
        async with self._all:
            yield

    @asynccontextmanager
    async def bulk(self) -> AsyncIterator[None]:
        """Let one item of a stream in as soon as there is room: its stream waits meanwhile."""
        async with self._bulk, self._all:
            yield
