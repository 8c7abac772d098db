"""A screening on a Ray cluster: one task reads, actors judge whole chunks, this process publishes.

    read (beside us) -> chunk -> an actor with an engine -> Finished -> published here, in order

Nothing but this process writes the output, so no lost worker can leave half of anything there, and
it is the local run's byte for byte. What was answered is kept beside the output at once, as in a
local run: a chunk whose worker died is judged again from there.
"""

import asyncio
import logging
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Coroutine, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, DataContext, Datasource, ReadTask
from ray.data.block import BlockMetadata

from guard_service.errors import GuardError, ScreeningRefused, ScreeningStopped, Unavailable
from guard_service.screening.asker import Asker
from guard_service.screening.chunk import MAX_LINES, LineReader, RawChunk, cut
from guard_service.screening.engines import Engines
from guard_service.screening.finished import Finished, finish, judged_by
from guard_service.screening.judgement import Answers, Judgement
from guard_service.screening.manifest import Terms
from guard_service.screening.output import Output, Published
from guard_service.screening.row import Judged
from guard_service.screening.run import Bench, Watch, unpublished
from guard_service.screening.seen import Seen
from guard_service.screening.source import STDIN, Source
from guard_service.screening.subject import Item

T = TypeVar("T")

OpenBench = Callable[[], AbstractAsyncContextManager[Bench]]

_OPEN_CHUNKS = 2  # of one engine at once, so that it has work while one is parsed or written
_SENT_CHUNKS = 4  # to one engine ahead; Ray adds engines while they have more than 3.5


@dataclass(frozen=True, slots=True)
class Cluster:
    """Judges as a Bench does (see run.py), in the workers of the cluster we are connected to."""

    open_bench: OpenBench  # in each worker, so it is pickled
    engines: Engines
    judged: Judged
    list_above: float
    threshold: float
    thresholds: tuple[float | None, ...]

    def screening(
        self, reader: LineReader, output: Output, watch: Watch, stopping: asyncio.Event
    ) -> "ClusterScreening":
        return ClusterScreening(self, reader, output, watch, stopping)


@contextmanager
def connected(address: str, engines: Engines) -> Iterator[Engines]:
    """A cluster, joined or (`local`) started here; what each engine takes of it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    on_stop = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # Ray raises all sorts, bare ones too
        problem = f"no cluster ({type(error).__name__}), or one that wants RAY_AUTH_MODE=token"
        raise Unavailable(f"--ray {address}: {problem}") from None
    signal.signal(signal.SIGTERM, on_stop)  # Ray's own would end us in the midst of a chunk
    try:
        has_gpus = bool(ray.cluster_resources().get("GPU"))
        num_gpus = float(has_gpus) if engines.num_gpus is None else engines.num_gpus
        yield replace(engines, num_gpus=num_gpus)
    finally:
        ray.shutdown()


@dataclass(frozen=True, slots=True)
class ClusterScreening:
    cluster: Cluster
    reader: LineReader
    output: Output
    watch: Watch
    stopping: asyncio.Event

    async def run(self, sources: Sequence[Source], max_lines: int = MAX_LINES) -> None:
        """Publish every chunk; ScreeningStopped, after the next one, if `stopping` is set."""
        if any(source.name == STDIN for source in sources):
            raise ScreeningRefused("-: a cluster cannot read what comes through a pipe")
        await asyncio.to_thread(self._run, _Chunks(sources, self.output.published, max_lines))

    def _run(self, chunks: "_Chunks") -> None:
        for done in self.output.published.done:
            self.watch.on_published(0, done)
        try:
            with closing(self._finished(chunks)) as coming:
                for finished in coming:
                    if isinstance(finished, GuardError):
                        raise finished
                    done = self.output.publish(finished)
                    self.watch.on_judged(finished.num_rows)
                    self.watch.on_published(finished.num_bytes, done)
                    if self.stopping.is_set():
                        raise ScreeningStopped
        except ray.exceptions.RayError as error:
            raise Unavailable(f"the cluster failed ({type(error).__name__})") from error

    def _finished(self, chunks: "_Chunks") -> Generator[Finished | GuardError, None, None]:
        """In the order of the input."""
        _set_up()
        engines = self.cluster.engines
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        store = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "label_selector": here}
        seen = ray.remote(**store)(Seen).remote(self.output.seen_path.absolute())
        read = ray.data.read_datasource(
            chunks,
            override_num_blocks=1,
            num_cpus=0,
            label_selector=here,  # files that only we have are found
        )
        finished = read.map_batches(
            _Worker,
            fn_constructor_args=(self.reader, self.output.terms, self.cluster.open_bench, seen),
            batch_size=1,
            num_cpus=engines.num_cpus,
            num_gpus=engines.num_gpus,
            compute=_pool(engines),
        )
        for row in finished.iter_rows():
            yield pickle.loads(row["finished"])


class _Chunks(Datasource):  # type: ignore[misc]  # Ray has no types here
    """What is still to be judged, a row and a block for each chunk, read by one task."""

    def __init__(self, sources: Sequence[Source], published: Published, max_lines: int) -> None:
        super().__init__()
        self._sources, self._published, self._max_lines = sources, published, max_lines

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, *_: object, **__: object) -> list[ReadTask]:
        return [ReadTask(self._read, BlockMetadata(None, None, None, None))]

    def _read(self) -> Iterator[pa.Table]:
        for raw in self._raws():
            yield pa.table({"chunk": pa.array([pickle.dumps(raw)], pa.large_binary())})

    def _raws(self) -> Iterator[RawChunk | GuardError]:
        """Errors of ours travel as values: Ray would wrap them, each kind in another way."""
        try:
            yield from unpublished(cut(self._sources, self._max_lines), self._published)
        except GuardError as error:
            yield error


class _Worker:
    """One engine: chunks in, finished chunks out. Lives in an actor, which Ray replaces."""

    def __init__(self, reader: LineReader, terms: Terms, open_bench: OpenBench, seen: Any) -> None:
        self._reader, self._terms = reader, terms
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._opened = AsyncExitStack()
        self._started = self._run(self._start(open_bench, _SharedSeen(seen)))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        (chunk,) = batch["chunk"]
        return {"finished": [pickle.dumps(self._finish(pickle.loads(chunk)))]}

    def _finish(self, raw: RawChunk | GuardError) -> Finished | GuardError:
        if isinstance(raw, GuardError):
            return raw
        chunk = self._reader.read_chunk(raw)
        try:
            answers = self._run(self._ask(chunk.items)).result()
        except GuardError as error:
            return error
        return finish(chunk, answers, self._terms)

    async def _ask(self, items: Sequence[Item]) -> Answers:
        asker = await asyncio.wrap_future(self._started)
        return await asker.ask(items)

    async def _start(self, open_bench: OpenBench, seen: "_SharedSeen") -> Asker:
        bench = await self._opened.enter_async_context(open_bench())
        if bench.judged != judged_by(self._terms):
            raise ScreeningRefused("a worker has another model or another policy than we have")
        return Asker(bench.judge, seen, asyncio.Event(), lambda _: None)

    def _run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)


@dataclass(frozen=True, slots=True)
class _SharedSeen:
    """What all workers were answered: kept by one actor, which is beside the output."""

    actor: Any

    def find(self, digests: Collection[bytes]) -> dict[bytes, Judgement]:
        found: dict[bytes, Judgement] = ray.get(self.actor.find.remote(list(digests)))
        return found

    def add(self, judged: Mapping[bytes, Judgement]) -> None:
        self.actor.add.remote(judged)


def _pool(engines: Engines) -> ActorPoolStrategy:
    ahead = {
        "max_tasks_in_flight_per_actor": _SENT_CHUNKS,
        "max_concurrent_calls_per_actor": _OPEN_CHUNKS,
        "enable_true_multi_threading": True,
    }
    if engines.num is not None:
        return ActorPoolStrategy(size=engines.num, **ahead)
    # No fewer later: an engine that waits for work for a moment takes minutes to open again.
    return ActorPoolStrategy(min_size=_num_fitting(engines), **ahead)


def _num_fitting(engines: Engines) -> int:
    """Into the cluster as it is now."""
    has = ray.cluster_resources()
    asked = {"CPU": engines.num_cpus, "GPU": engines.num_gpus}
    fitting = [int(has.get(name, 0) / num) for name, num in asked.items() if num]
    return max(1, min(fitting, default=1))


def _set_up() -> None:
    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1  # so each row is a block, and each chunk a task of its own
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "The minimum number of concurrent actors")  # fewer chunks
