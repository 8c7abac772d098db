"""Writes of many callers in one transaction: whoever comes during one shares the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Waiting = tuple[T, asyncio.Future[R]]


class Together(Generic[T, R]):
    """`write` gets what waits, and answers for each; what fails together is tried alone."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[Sequence[R]]], most: int) -> None:
        self._write = write
        self._most = most
        self._waiting: list[Waiting[T, R]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, one: T) -> R:
        """What `write` answered for it, once it has; it is written even if the caller leaves."""
        written: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_on())
        return await written

    async def finish(self) -> None:
        """Return once what waits is written, also for callers that left."""
        if self._writing is not None:
            await self._writing

    async def _write_on(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not await self._write_group(group) and len(group) > 1:
                for one in group:
                    await self._write_group([one])

    async def _write_group(self, group: Sequence[Waiting[T, R]]) -> bool:
        """Whether it could be written; one that is alone is told why it could not."""
        try:
            answers = await self._write([one for one, _ in group])
        except Exception as error:
            if len(group) == 1 and not group[0][1].done():
                group[0][1].set_exception(error)
            return False
        for (_, written), answer in zip(group, answers, strict=True):
            if not written.done():
                written.set_result(answer)
        return True
