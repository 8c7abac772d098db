"""A broker as a sink: one connection, opened when it is needed and dropped at the first failure.

So no client of a broker reconnects by itself, and nothing that an earlier try left in one is sent.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from guard_service.errors import SinkUnavailable
from guard_service.review.event import Event

ANSWER_S = 5.0  # for whatever a broker is asked
_CLOSE_S = 10.0  # a producer of Kafka waits for what is under way, and else lives on


class Connection(Protocol):
    async def publish(self, events: Sequence[Event]) -> None:
        """Return once the broker has acknowledged each; whatever it raises, it may have some."""

    async def close(self) -> None: ...


@asynccontextmanager
async def ready_or_closed(close: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Leave nothing half open of a connection that cannot be made ready."""
    try:
        yield
    except BaseException:
        await close()
        raise


class Broker:
    def __init__(self, name: str, connect: Callable[[], Awaitable[Connection]]) -> None:
        self.name = name
        self._connect = connect
        self._connection: Connection | None = None

    async def publish(self, events: Sequence[Event]) -> None:
        try:
            if self._connection is None:
                self._connection = await self._connect()
            await self._connection.publish(events)
        except Exception as error:  # the clients have no error in common
            await self.close()
            raise SinkUnavailable(type(error).__name__) from None  # its text may hold the URL
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), _CLOSE_S)
