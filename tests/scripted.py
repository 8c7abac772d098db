"""An engine without a model: it does what a test says, to show how all around it behaves."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from selectors import SelectSelector
from typing import Any

from guard_service.engine.message import Batch, BatchRead, Loaded, Piece
from guard_service.errors import EngineUnavailable
from guard_service.prompt import Prefix, Prompt
from guard_service.verdict import Reading

SAFE = Reading(0.01, 0.999, (1.0,))
UNSAFE = Reading(0.99, 0.999, (1.0,), ("S1",))


def prompt(*ids: int, prefix: Sequence[int] = (1, 2, 3)) -> Prompt:
    return Prompt(Prefix(tuple(prefix), ("S1",)), ids)


class ScriptedEngine:
    """Unsafe for prompts that hold id 666; keeps every batch; can be held, or killed.

    With `seconds` a pass takes what that says of its tokens, one after the other.
    """

    def __init__(
        self,
        read: Callable[[Prompt], Reading] | None = None,
        seconds: Callable[[int], float] = lambda _: 0.0,
        device: str = "scripted",
        spoil: Callable[[BatchRead], BatchRead] = lambda read: read,
    ) -> None:
        self.batches: list[list[Piece]] = []
        self.held: dict[int, tuple[int, ...]] = {}
        self.read_prompts: list[Prompt] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.loaded = Loaded(device, "none")
        self.pid = 1
        self.is_stopped = False
        self.is_silent = False  # answers no heartbeat
        self._read = read or (lambda p: UNSAFE if 666 in p.ids else SAFE)
        self._seconds = seconds
        self._spoil = spoil  # what it would have answered
        self._free_s = 0.0
        self._dead = asyncio.Event()

    async def read(self, batch: Batch) -> BatchRead:
        self.batches.append(list(batch.pieces))
        duration_s = self._seconds(sum(len(piece.ids) for piece in batch.pieces))
        now_s = asyncio.get_running_loop().time()
        self._free_s = max(self._free_s, now_s) + duration_s
        await self._sleep(self._free_s - now_s)
        if self._dead.is_set():
            raise EngineUnavailable("the engine process died")
        prompts = self._join(batch)
        self.read_prompts += prompts
        keys = tuple(piece.key for piece in batch.pieces if piece.is_last)
        readings = tuple(self._read(p) for p in prompts)
        return self._spoil(BatchRead(keys, readings, duration_s * 1000 or 1.0))

    async def ping(self, limit_s: float) -> int:
        if self.is_silent:
            await asyncio.sleep(limit_s)
            raise TimeoutError
        return 1024

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._dead.wait(), seconds or 1e-9)
        waits = {asyncio.create_task(e.wait()) for e in (self.may_go, self._dead)}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()

    def _join(self, batch: Batch) -> list[Prompt]:
        for key in batch.forgotten:
            del self.held[key]
        prompts = []
        for piece in batch.pieces:
            ids = self.held.pop(piece.key, ()) + piece.ids
            if piece.is_last:
                prompts.append(Prompt(piece.prefix, ids, piece.list_above))
            else:
                self.held[piece.key] = ids
        return prompts

    def kill(self) -> None:
        self._dead.set()

    async def wait_dead(self) -> int:
        await self._dead.wait()
        return -9

    async def stop(self) -> None:
        self.is_stopped = True
        self._dead.set()


class _Jump(SelectSelector):
    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everyone waits for something that never comes"
        self.now_s += timeout
        return super().select(0)

    now_s = 0.0


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now_s


def in_virtual_time(main: Coroutine[Any, Any, Any]) -> Any:
    """Run without waiting: when all sleep, the clock jumps to the next who wakes."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main)
