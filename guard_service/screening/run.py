"""A screening from its first line to its last: read, ask, publish, in order and exactly once."""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from guard_service.errors import ScreeningStopped
from guard_service.screening.asker import Answers, Asker
from guard_service.screening.chunk import Chunk, LineReader, RawChunk
from guard_service.screening.judge import Judge
from guard_service.screening.manifest import Done
from guard_service.screening.output import Output

_MAX_OPEN = 2  # chunks that are being judged


@dataclass(frozen=True, slots=True)
class Watch:
    """Told how far the run is, for people to see."""

    on_published: Callable[[RawChunk, Done], None] = lambda _, __: None
    on_judged: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Screening:
    reader: LineReader
    judge: Judge
    output: Output
    watch: Watch = Watch()
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, raws: Iterable[RawChunk]) -> None:
        """Publish every chunk; ScreeningStopped if `stopping` was set before the last one."""
        with _rare_collections():
            await self._run(raws)

    async def _run(self, raws: Iterable[RawChunk]) -> None:
        asker = Asker(self.judge, self.output.seen, self.stopping, self.watch.on_judged)
        asked: deque[tuple[Chunk, asyncio.Task[Answers]]] = deque()
        chunks = self._unpublished(raws)
        coming = _next(chunks)
        try:
            while (chunk := await coming) is not None:
                coming = _next(chunks)
                asked.append((chunk, asyncio.create_task(asker.ask(chunk.items))))
                if len(asked) == _MAX_OPEN:
                    await self._publish(*asked.popleft())
            while asked:
                await self._publish(*asked.popleft())
        finally:  # what is under way ends, and is known when the run goes on
            await asyncio.gather(coming, *(task for _, task in asked), return_exceptions=True)

    def _unpublished(self, raws: Iterable[RawChunk]) -> Iterator[Chunk]:
        num_chunks = 0
        for raw in raws:
            num_chunks += 1
            if self.stopping.is_set():
                raise ScreeningStopped
            if raw.number < len(self.output.done):
                self.output.check_unchanged(raw)
                self.watch.on_published(raw, self.output.done[raw.number])
            else:
                yield self.reader.read_chunk(raw)
        self.output.check_whole(num_chunks)

    async def _publish(self, chunk: Chunk, asked: "asyncio.Task[Answers]") -> None:
        answers = await asked
        done = await asyncio.to_thread(self.output.publish, chunk, answers)
        self.watch.on_published(chunk.raw, done)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Chunks are many objects and no cycles: by default they are searched over and over."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _next(chunks: Iterator[Chunk]) -> "asyncio.Task[Chunk | None]":
    """Read on in a thread, beside the judging."""
    return asyncio.create_task(asyncio.to_thread(next, chunks, None))
