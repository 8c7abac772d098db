"""Before a judge whose engine can die: the conversation that kills it is told, the rest is judged.

Whatever shares a pass with a culprit fails with it, in other slices too. So what failed is asked
again one by one, with nothing else under way, and never of an engine that is not known to live.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

from guard_service.conversation import Conversation, Message, Role
from guard_service.errors import EngineUnavailable
from guard_service.screening.judge import Judge
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.subject import Item, Place
from guard_service.screening.transcript import Origin

_POLL_S = 0.25


class CulpritFinder:
    def __init__(self, judge: Judge, patience_s: float, max_deaths: int = 2) -> None:
        self._judge = judge
        self._patience_s = patience_s  # until an engine that died must answer again
        self._max_deaths = max_deaths  # alone with it: once may be chance
        self._culprits: dict[bytes, Unjudged] = {}  # by digest
        self._numbers = count()
        self._gate = asyncio.Lock()
        self._num_slices = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        """As the judge does; EngineUnavailable only if no engine answers in time."""
        left = [item for item in items if item.digest not in self._culprits]
        try:
            async with self._in_company():
                answers = await self._judge.judge(left)
        except EngineUnavailable:
            async with self._alone():
                await self._until_alive()
                answers = [await self._examine(item) for item in left]
        answered = dict(zip((item.digest for item in left), answers, strict=True))
        return [answered.get(item.digest) or self._culprits[item.digest] for item in items]

    async def _examine(self, item: Item) -> Judgement | Unjudged:
        for _ in range(self._max_deaths):
            try:
                (answer,) = await self._judge.judge([item])
                return answer
            except EngineUnavailable:
                await self._until_alive()
        return self._culprits.setdefault(item.digest, Unjudged("the engine died over it"))

    async def _until_alive(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                while not await self._is_alive():
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise EngineUnavailable(f"no engine for {self._patience_s:.0f} s") from None

    async def _is_alive(self) -> bool:
        """Asked with a text that nobody asked before: a kept reading would tell nothing."""
        number = next(self._numbers)
        message = Message(Role.USER, f"Is somebody there? {number}")
        probe = Item(Place("", 0), 0, 0, Conversation((message,)), b"probe %d" % number, Origin())
        try:
            await self._judge.judge([probe])
        except EngineUnavailable:
            return False
        return True

    @asynccontextmanager
    async def _in_company(self) -> AsyncIterator[None]:
        async with self._gate:
            self._num_slices += 1
            self._is_empty.clear()
        try:
            yield
        finally:
            self._num_slices -= 1
            if not self._num_slices:
                self._is_empty.set()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Once all others have ended; none begins meanwhile."""
        async with self._gate:
            await self._is_empty.wait()
            yield
