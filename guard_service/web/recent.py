"""Keeps answers that are slow to compute, so that looking at them costs little however often."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_QUICK_S = 0.05  # what takes less is computed each time
_REST = 20  # times as long as computing took an answer is good: a twentieth of the time is spent
_MAX_KEPT = 256  # answers; beyond it the oldest is forgotten
_OLDEST_S = 600.0  # shown while a newer one is computed
_ERROR_S = 5.0  # how long an error is told: who asked may have left before it was known


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    done: asyncio.Future[T]
    computed_s: float
    good_until_s: float


class Recent(Generic[T]):
    """An answer that is no longer good is shown once more, while a new one is computed.

    One is computed at a time, so that the database has room for other work.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = asyncio.Semaphore(1)
        self._kept: dict[Hashable, _Kept[T]] = {}
        self._tasks: dict[Hashable, asyncio.Task[asyncio.Future[T]]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """Of many who ask at once one computes, also when all have left; all get its error."""
        now_s, kept = self._clock(), self._kept.get(key)
        if kept and now_s < kept.good_until_s:
            return kept.done.result()
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._compute(key, compute))
        if kept and now_s < kept.computed_s + _OLDEST_S and not kept.done.exception():
            return kept.done.result()
        return (await asyncio.shield(self._tasks[key])).result()

    async def _compute(
        self, key: Hashable, compute: Callable[[], Awaitable[T]]
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        async with self._turn:
            start_s = self._clock()
            try:
                done.set_result(await compute())
            except Exception as error:
                done.set_exception(error)
        self._keep(key, done, self._clock() - start_s)
        del self._tasks[key]
        return done

    def _keep(self, key: Hashable, done: asyncio.Future[T], took_s: float) -> None:
        self._kept.pop(key, None)
        rest_s = _ERROR_S if done.exception() else _REST * took_s
        if took_s > _QUICK_S or done.exception():
            now_s = self._clock()
            self._kept[key] = _Kept(done, now_s, now_s + rest_s)
            if len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
