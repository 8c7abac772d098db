"""Screenings by two workers of a Ray cluster on this machine, against the run of one process."""

import asyncio
import gc
import os
import random
import signal
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread
from unittest import mock

import pytest
from length import length
from screened import (
    CHUNK_LINES,
    TERMS,
    asked,
    made_log,
    published,
    recording_worker,
    rows,
    screen,
    worker_of_another_model,
    write_log,
)
from scripted_judge import JUDGED

from guard_service.errors import ScreeningRefused, ScreeningStopped
from guard_service.screening.engines import Engines
from guard_service.screening.run import Watch
from guard_service.screening.subject import DIGEST_BYTES

ray = pytest.importorskip("ray", reason="needs the extra `ray`")
from guard_service.screening.cluster import Cluster, OpenBench, connected  # noqa: E402

SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
KILLS = length("RAY_KILLS", 2, full=100)
TESTS = Path(__file__).parent.parent

# Ray reads settings of its own that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning:ray.data.context")


@pytest.fixture(scope="module", autouse=True)
def two_cores() -> Iterator[None]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    few = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    # Ray's workers are nice by 15 otherwise: beside a busy neighbour they would stand still.
    alike = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": path}
    with mock.patch.dict(os.environ, alike):
        ray.init("local", log_to_driver=False, logging_level="ERROR", **few)
        yield
        ray.shutdown()


def on_cluster(open_bench: OpenBench) -> Cluster:
    gc.collect()  # or the workers of the run before keep their cores
    engines = Engines(2, num_cpus=1, num_gpus=0)
    return Cluster(open_bench, engines, JUDGED, TERMS.list_above, TERMS.threshold, TERMS.thresholds)


def here(log: Path, out: Path, format: str = "jsonl") -> dict[str, str]:
    """What one process publishes of it."""
    screen([log], out, format=format)
    return published(out)


def stop_after_a_chunk(log: Path, out: Path, bench: Cluster | None) -> None:
    stopping = asyncio.Event()
    watch = Watch(on_published=lambda *_: stopping.set())
    with pytest.raises(ScreeningStopped):
        screen([log], out, bench=bench, watch=watch, stopping=stopping)


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_two_workers_publish_what_one_process_publishes(tmp_path: Path, format: str) -> None:
    log = write_log(tmp_path / "log.jsonl", 4 * CHUNK_LINES + 17)
    screen(
        [log],
        tmp_path / "out",
        bench=on_cluster(partial(recording_worker, tmp_path)),
        format=format,
    )
    assert len(list(tmp_path.glob("worker-*"))) == 2
    assert published(tmp_path / "out") == here(log, tmp_path / "here", format)
    assert not (tmp_path / "out/_screening/seen").exists()


def kill_at(moments: Iterable[int], folder: Path, ended: Event, killed: list[int]) -> None:
    """A worker that has opened its engine, each time that so many conversations were judged."""
    draw = random.Random(SEED)
    for moment in moments:
        alive = set[int]()
        while not alive or num_asked(folder) < moment:
            if ended.wait(0.005):
                return
            alive = {int(path.name.split("-")[1]) for path in folder.glob("worker-*")}
            alive -= set(killed)
        os.kill(pid := draw.choice(sorted(alive)), signal.SIGKILL)
        killed.append(pid)


def num_asked(folder: Path) -> int:
    path = folder / "asked"
    return path.stat().st_size // DIGEST_BYTES if path.exists() else 0


def test_workers_that_are_killed_lose_no_line_and_repeat_at_most_a_chunk(tmp_path: Path) -> None:
    log = made_log(tmp_path / "log.jsonl", 4 * (2 + KILLS) * CHUNK_LINES + 17)
    undisturbed = here(log, tmp_path / "here")
    draw, num_rows = random.Random(SEED), len(rows(tmp_path / "here"))
    # Of equal conversations only one is judged: so many are in any case.
    moments = sorted(draw.randrange(num_rows * 3 // 4) for _ in range(KILLS))
    ended, killed = Event(), list[int]()
    killer = Thread(target=kill_at, args=(moments, tmp_path, ended, killed))
    killer.start()
    try:
        screen([log], tmp_path / "out", bench=on_cluster(partial(recording_worker, tmp_path)))
    finally:
        ended.set()
        killer.join()
    assert len(killed) == KILLS
    assert published(tmp_path / "out") == undisturbed
    times = Counter(asked(tmp_path / "asked"))
    repeated = sum(times.values()) - len(times)
    assert repeated <= len(killed) * 2 * CHUNK_LINES  # a line is two messages
    print(f"{len(killed)} workers killed, {len(times)} judged, {repeated} judged again")


def test_a_run_begun_here_goes_on_there_and_a_changed_input_is_refused(tmp_path: Path) -> None:
    log, out, worker = tmp_path / "log.jsonl", tmp_path / "out", partial(recording_worker, tmp_path)
    write_log(log, 4 * CHUNK_LINES)
    stop_after_a_chunk(log, out, None)
    screen([log], out, bench=on_cluster(worker))
    assert published(out) == here(log, tmp_path / "here")
    log.write_bytes(log.read_bytes().replace(b"question 6", b"Question 6"))
    with pytest.raises(ScreeningRefused, match="differs between"):
        screen([log], out, bench=on_cluster(worker))


def test_a_worker_with_another_model_and_a_pipe_are_refused(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 10)
    with pytest.raises(ScreeningRefused, match="another model"):
        screen([log], tmp_path / "out", bench=on_cluster(worker_of_another_model))
    with pytest.raises(ScreeningRefused, match="pipe"):
        screen(["-"], tmp_path / "piped", bench=on_cluster(worker_of_another_model))


def test_a_cluster_leaves_our_signals_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray sets a handler of SIGTERM that would end a run in the midst of publishing."""
    before = signal.getsignal(signal.SIGTERM)

    def init(*_: object, **__: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with connected("auto", Engines()):
        assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_stopped_there_goes_on_here(tmp_path: Path) -> None:
    """The last one: Ray is slow to let go of workers that were busy."""
    log, out = write_log(tmp_path / "log.jsonl", 4 * CHUNK_LINES), tmp_path / "out"
    stop_after_a_chunk(log, out, on_cluster(partial(recording_worker, tmp_path)))
    assert [path.name for path in out.glob("part-*")] == ["part-000000.jsonl"]
    assert here(log, out) == here(log, tmp_path / "here")
