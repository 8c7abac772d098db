"""An engine without a model: it does what a test says, to show how all around it behaves."""

import asyncio
from collections.abc import Callable, Sequence

from guard_service.engine.message import BatchRead, Loaded
from guard_service.errors import EngineUnavailable
from guard_service.prompt import Prefix, Prompt
from guard_service.verdict import Reading

SAFE = Reading(0.01, 0.999, (1.0,))
UNSAFE = Reading(0.99, 0.999, (1.0,), ("S1",))


def prompt(*ids: int, prefix: Sequence[int] = (1, 2, 3)) -> Prompt:
    return Prompt(Prefix(tuple(prefix), ("S1",)), ids)


class ScriptedEngine:
    """Unsafe for prompts that hold id 666; keeps every batch; can be held, or killed."""

    def __init__(self, read: Callable[[Prompt], Reading] | None = None) -> None:
        self.batches: list[list[Prompt]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.loaded = Loaded("scripted", "none")
        self.pid = 1
        self.is_stopped = False
        self._read = read or (lambda p: UNSAFE if 666 in p.ids else SAFE)
        self._dead = asyncio.Event()

    async def read(self, prompts: Sequence[Prompt]) -> BatchRead:
        self.batches.append(list(prompts))
        waits = {asyncio.create_task(e.wait()) for e in (self.may_go, self._dead)}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if self._dead.is_set():
            raise EngineUnavailable("the engine process died")
        return BatchRead(tuple(self._read(p) for p in prompts), 1.0)

    def kill(self) -> None:
        self._dead.set()

    async def wait_dead(self) -> int:
        await self._dead.wait()
        return -9

    async def stop(self) -> None:
        self.is_stopped = True
        self._dead.set()
