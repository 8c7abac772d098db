"""Forms micro-batches from what callers bring. Plain Python: handed the engine, imports no torch.

A prompt that was taken in gets exactly one reading or one error. Callers that left are dropped
before the model sees them.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from guard_service.engine.message import BatchRead
from guard_service.errors import EngineUnavailable, GuardError
from guard_service.prompt import Prompt
from guard_service.verdict import Reading

log = logging.getLogger(__name__)

ReadBatch = Callable[[Sequence[Prompt]], Awaitable[BatchRead]]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    # Longest prompt times number of prompts, without the prefix, which is not computed again.
    max_batch_tokens: int = 4096
    max_batch_requests: int = 64
    max_wait_ms: float = 2.0  # how long an idle engine waits for company


@dataclass(frozen=True, slots=True)
class Answer:
    """A reading, and how it came about."""

    reading: Reading
    queue_ms: float
    inference_ms: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    prompt: Prompt
    answer: "asyncio.Future[Answer]"
    since: float = field(default_factory=time.monotonic)


class Batcher:
    def __init__(self, read_batch: ReadBatch, limits: BatchLimits) -> None:
        self._read_batch = read_batch
        self._limits = limits
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop reading; whoever still waits gets EngineUnavailable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        _fail(self._queue, EngineUnavailable("the server is stopping"))
        self._queue.clear()

    async def read(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """One answer for each prompt, in order; cancelling it takes them all back."""
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(prompt, loop.create_future()) for prompt in prompts]
        self._queue.extend(waiting)
        self._arrived.set()
        return await asyncio.gather(*(entry.answer for entry in waiting))

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            await self._wait_for_company()
            if batch := self._take():
                await self._read(batch)

    async def _wait_for_company(self) -> None:
        deadline = self._queue[0].since + self._limits.max_wait_ms / 1000
        while (wait_s := deadline - time.monotonic()) > 0 and not self._is_full():
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), wait_s)
            except TimeoutError:
                return

    def _is_full(self) -> bool:
        if len(self._queue) >= self._limits.max_batch_requests:
            return True
        longest = max(len(entry.prompt.ids) for entry in self._queue)
        return longest * len(self._queue) >= self._limits.max_batch_tokens

    def _take(self) -> list[_Waiting]:
        """The next batch in order of arrival; one that alone is over the budget goes alone."""
        batch: list[_Waiting] = []
        longest = 0
        while self._queue and len(batch) < self._limits.max_batch_requests:
            entry = self._queue[0]
            longest = max(longest, len(entry.prompt.ids))
            if batch and longest * (len(batch) + 1) > self._limits.max_batch_tokens:
                break
            self._queue.popleft()
            if not entry.answer.done():
                batch.append(entry)
        if not self._queue:
            self._arrived.clear()
        else:
            self._arrived.set()
        return batch

    async def _read(self, batch: Sequence[_Waiting]) -> None:
        started = time.monotonic()
        try:
            read = await self._read_batch([entry.prompt for entry in batch])
        except GuardError as error:
            return _fail(batch, error)
        except asyncio.CancelledError:
            _fail(batch, EngineUnavailable("the server is stopping"))
            raise
        except Exception:  # a bug must not take the batcher, and so everyone after, with it
            log.exception("batch failed", extra={"action": "batch_failed"})
            return _fail(batch, EngineUnavailable())
        for entry, reading in zip(batch, read.readings, strict=True):
            if not entry.answer.done():
                queue_ms = (started - entry.since) * 1000
                answer = Answer(reading, queue_ms, read.inference_ms, len(batch))
                entry.answer.set_result(answer)


def _fail(entries: Iterable[_Waiting], error: GuardError) -> None:
    for entry in entries:
        if not entry.answer.done():
            entry.answer.set_exception(error)
