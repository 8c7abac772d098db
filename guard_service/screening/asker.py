"""Between chunks and the judge: asks once for each conversation, in slices that overlap.

Slices of one chunk and of the next are under way together, so that no engine waits for the last
of a chunk; what was answered is kept at once, so that a kill costs the slices under way alone.
"""

import asyncio
from collections.abc import Callable, Sequence

from guard_service.errors import ScreeningStopped
from guard_service.screening.judge import Judge
from guard_service.screening.judgement import Answers, Judgement, Unjudged
from guard_service.screening.seen import Seen
from guard_service.screening.subject import Item

SLICE_ITEMS = 128
_MAX_SLICES = 4


class Asker:
    def __init__(
        self, judge: Judge, seen: Seen, stopping: asyncio.Event, on_judged: Callable[[int], None]
    ) -> None:
        self._judge = judge
        self._seen = seen
        self._stopping = stopping
        self._on_judged = on_judged
        self._places = asyncio.Semaphore(_MAX_SLICES)
        self._asked: dict[bytes, asyncio.Task[Answers]] = {}
        self._failure: Exception | None = None  # the first one ends the run for all

    async def ask(self, items: Sequence[Item]) -> Answers:
        """An answer for every digest of the items.

        Raises what the judge raised, or ScreeningStopped, once nothing is under way any more.
        """
        wanted = {item.digest: item for item in items}
        answers: dict[bytes, Judgement | Unjudged] = dict(self._seen.find(wanted))
        left = [item for digest, item in wanted.items() if digest not in answers]
        slices = {self._asked[item.digest] for item in left if item.digest in self._asked}
        fresh = [item for item in left if item.digest not in self._asked]
        slices |= {
            self._start(fresh[n : n + SLICE_ITEMS]) for n in range(0, len(fresh), SLICE_ITEMS)
        }
        for answered in await asyncio.gather(*slices, return_exceptions=True):
            if isinstance(answered, BaseException):
                raise answered
            answers |= answered
        return answers

    def _start(self, items: Sequence[Item]) -> "asyncio.Task[Answers]":
        task = asyncio.create_task(self._ask(items))
        self._asked |= dict.fromkeys((item.digest for item in items), task)
        return task

    async def _ask(self, items: Sequence[Item]) -> Answers:
        try:
            async with self._places:
                if self._failure:
                    raise self._failure
                if self._stopping.is_set():
                    raise ScreeningStopped
                answers = await self._judge.judge(items)
            judged = dict(zip((item.digest for item in items), answers, strict=True))
            self._seen.add({d: j for d, j in judged.items() if isinstance(j, Judgement)})
            self._on_judged(len(items))
            return judged
        except Exception as error:
            self._failure = self._failure or error
            raise
        finally:
            for item in items:
                del self._asked[item.digest]
