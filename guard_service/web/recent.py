"""Keeps answers that are slow to compute, so that looking at them costs little however often."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

_QUICK_S = 0.05  # what takes less is computed each time
_REST = 20  # times as long as computing took an answer is good: a twentieth of the time is spent
_MAX_KEPT = 256  # answers; beyond it the oldest is forgotten
_OLDEST_S = 600.0  # shown while a newer one is computed


class Recent(Generic[T]):
    """An answer that is no longer good is shown once more, while a new one is computed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[Hashable, tuple[T, float, float]] = {}  # computed when, and good until
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """Of many who ask at once one computes; all of them get its error."""
        now_s = self._clock()
        answer, computed_s, good_until_s = self._kept.get(key, (None, -_OLDEST_S, 0.0))
        if answer is not None and now_s < good_until_s:
            return answer
        if key not in self._tasks:
            task = asyncio.create_task(self._compute(key, compute))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        if answer is not None and now_s < computed_s + _OLDEST_S:
            return answer
        return await asyncio.shield(self._tasks[key])

    async def _compute(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        start_s = self._clock()
        answer = await compute()
        now_s = self._clock()
        self._kept.pop(key, None)
        if now_s - start_s > _QUICK_S:
            self._kept[key] = answer, now_s, now_s + _REST * (now_s - start_s)
            if len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return answer

    def _forget(self, key: Hashable, done: "asyncio.Task[T]") -> None:
        del self._tasks[key]
        if not done.cancelled():
            done.exception()  # told to whoever waited; nobody may have
