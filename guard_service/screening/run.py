"""A screening from its first line to its last: read, ask, publish, in order and exactly once."""

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from guard_service.errors import ScreeningStopped
from guard_service.screening.asker import Asker
from guard_service.screening.chunk import Chunk, LineReader, RawChunk
from guard_service.screening.finished import finish
from guard_service.screening.judge import Judge
from guard_service.screening.judgement import Answers
from guard_service.screening.manifest import Done
from guard_service.screening.output import Output, Published
from guard_service.screening.referral import Referral
from guard_service.screening.seen import Seen

_MAX_OPEN = 2  # chunks that are being judged

OnPublished = Callable[[int, Done], None]  # told the bytes of input up to its end


def _ignore(_: object, __: object = None) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """Told how far the run is, for people to see."""

    on_published: OnPublished = _ignore
    on_judged: Callable[[int], None] = _ignore


@dataclass(frozen=True, slots=True)
class Screening:
    reader: LineReader
    judge: Judge
    output: Output
    watch: Watch = Watch()
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    referral: Referral | None = None  # None: nobody looks at what is judged

    async def run(self, raws: Iterable[RawChunk]) -> None:
        """Publish every chunk; ScreeningStopped if `stopping` was set before the last one."""
        with _rare_collections(), Seen(self.output.seen_path) as seen:
            await self._run(raws, Asker(self.judge, seen, self.stopping, self.watch.on_judged))

    async def _run(self, raws: Iterable[RawChunk], asker: Asker) -> None:
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
        coming = self._until_stopped(raws)
        for raw in unpublished(coming, self.output.published, self.watch.on_published):
            yield self.reader.read_chunk(raw)

    def _until_stopped(self, raws: Iterable[RawChunk]) -> Iterator[RawChunk]:
        for raw in raws:
            if self.stopping.is_set():
                raise ScreeningStopped
            yield raw

    async def _publish(self, chunk: Chunk, asked: "asyncio.Task[Answers]") -> None:
        answers = await asked
        if self.referral:
            await self.referral.refer(chunk, answers)
        done = await asyncio.to_thread(self._finish, chunk, answers)
        self.watch.on_published(chunk.raw.num_bytes, done)

    def _finish(self, chunk: Chunk, answers: Answers) -> Done:
        return self.output.publish(finish(chunk, answers, self.output.terms))


def unpublished(
    raws: Iterable[RawChunk], published: Published, on_published: OnPublished = _ignore
) -> Iterator[RawChunk]:
    """What is still to be done; ScreeningRefused once the input turns out to have changed."""
    num_chunks = 0
    for raw in raws:
        num_chunks += 1
        if published.has(raw):
            on_published(raw.num_bytes, published.done[raw.number])
        else:
            yield raw
    published.check_whole(num_chunks)


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
