"""The feed that readers follow: places what was written, wakes who waits, forgets the oldest.

Entries of the audit log are linked by the same turns, since those too go by what is committed.

Polls, since every server of a database writes to the same feed: one small query each 0.25 s, for
all readers of this server together.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from guard_service.errors import Overloaded, StoreUnavailable, Unavailable
from guard_service.review import audit, outbox
from guard_service.review.database import Database
from guard_service.review.event import Slice

log = logging.getLogger(__name__)

_POLL_S = 0.25
_AWAY_S = 5.0  # after the database failed
_PURGE_EVERY_S = 600.0
_HEARTBEAT_S = 15.0
_PAGE = 100
_MAX_WATCHERS = 256  # each holds a page


class Feed:
    def __init__(self, database: Database, kept_s: float, poll_s: float = _POLL_S) -> None:
        self.database = database
        self._kept_s = kept_s
        self._poll_s = poll_s
        self._head = 0
        self._has_moved = asyncio.Condition()
        self._num_watchers = 0
        self._is_ending = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (self._place(), self._purge())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def end(self) -> None:
        """Send away who watches: they go on at another server."""
        self._is_ending = True
        async with self._has_moved:
            self._has_moved.notify_all()

    async def read(self, after: int | None, tenant: str | None = None, limit: int = _PAGE) -> Slice:
        """Events after that position, None: from the oldest; CursorUnknown if some are deleted."""
        return await self.database.read(lambda c: outbox.read(c, after, tenant, limit))

    async def watch(
        self, after: int | None, tenant: str | None, heartbeat_s: float = _HEARTBEAT_S
    ) -> AsyncGenerator[Slice, None]:
        """Slices for as long as they are asked for, an empty one where there is no more for now."""
        if self._num_watchers >= _MAX_WATCHERS:
            raise Overloaded("as many follow the feed as may")
        self._num_watchers += 1
        try:
            while not self._is_ending:
                found = await self.read(after, tenant)
                yield found
                after = found.position
                if not found.events:
                    await self._wait(partial(self._has_news, after), heartbeat_s)
        finally:
            self._num_watchers -= 1
        raise Unavailable("the server stops")

    async def wait_beyond(self, position: int, limit_s: float) -> None:
        """Return once there are events after that position, or the time is over."""
        await self._wait(lambda: self._head > position, limit_s)

    def _has_news(self, position: int) -> bool:
        return self._head > position or self._is_ending

    async def _wait(self, is_over: Callable[[], bool], limit_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s), self._has_moved:
                await self._has_moved.wait_for(is_over)

    async def _place(self) -> None:
        while True:
            try:
                await self._advance()
                await self._link()
                await asyncio.sleep(self._poll_s)
            except StoreUnavailable:
                log.warning("no event can be placed", extra={"action": "feed_stalled"})
                await asyncio.sleep(_AWAY_S)

    async def _advance(self) -> None:
        """Place what is written, here or by another server, and wake who waits for it."""
        while await self.database.read(outbox.has_unplaced):
            if not await self.database.run(outbox.place):
                break
        head = await self.database.read(outbox.head_of)
        if head != self._head:
            async with self._has_moved:
                self._head = head
                self._has_moved.notify_all()

    async def _link(self) -> None:
        while await self.database.read(audit.has_unlinked):
            if not await self.database.run(audit.link_entries):
                break

    async def _purge(self) -> None:
        while True:
            with suppress(StoreUnavailable):  # whoever places says so
                while await self.purge() == outbox.MAX_PURGED:
                    pass
                await self._tell_head()
            await asyncio.sleep(_PURGE_EVERY_S)

    async def _tell_head(self) -> None:
        """Logs go elsewhere: against a head there a log that was cut off later is seen."""
        head = str(await self.database.read(audit.head_of))
        log.info("the audit log has come to", extra={"action": "audit_head", "head": head})

    async def purge(self) -> int:
        """Delete events that are old and published; how many, which is no more than MAX_PURGED."""
        return await self.database.run(lambda c: outbox.purge(c, int(self._kept_s * 1000)))
