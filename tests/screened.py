"""A screening with a scripted judge, also one that is killed in the midst of it."""

import asyncio
import hashlib
import json
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from length import length
from scripted_judge import JUDGED, ScriptedJudge
from shared_data import shared_file

from guard_service.config import Settings
from guard_service.review.store import ReviewStore
from guard_service.screening.chunk import LineReader
from guard_service.screening.judge import Judge
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.manifest import Terms
from guard_service.screening.output import Output
from guard_service.screening.referral import Referral
from guard_service.screening.row import Judged
from guard_service.screening.run import Bench, Screening, Watch
from guard_service.screening.source import Source, find_sources
from guard_service.screening.subject import DIGEST_BYTES, Item, Subject
from guard_service.startup import load_policies

if TYPE_CHECKING:
    from guard_service.screening.cluster import Cluster, ClusterScreening

CHUNK_LINES = 500
LINES = length("SCREEN_LINES", 0, full=100_000)
TERMS = Terms(
    inputs=(),
    judge=(),
    mapping="",
    policy=JUDGED.policy,
    policy_version=JUDGED.policy_version,
    policy_digest=JUDGED.policy_digest,
    list_above=0.5,
    codes=JUDGED.codes,
    model=JUDGED.model,
    model_digest=JUDGED.model_digest,
    format="jsonl",
)
NOBODY = Watch()
POLICY = load_policies(Settings())["default"]
REFERRED = replace(JUDGED, policy_digest=POLICY.digest)
READER = LineReader(frozenset({Subject.LAST_USER, Subject.REPLY}))


def line(number: int, text: str | None = None) -> bytes:
    request = {"messages": [{"role": "user", "content": text or f"question {number}"}]}
    reply = {"message": {"role": "assistant", "content": f"answer {number}"}}
    entry = {"id": f"id-{number}", "request": request, "response": {"choices": [reply]}}
    return json.dumps(entry).encode() + b"\n"


def write_log(path: Path, num_lines: int) -> Path:
    """Some lines twice, some broken, some that the model cannot read."""
    draw = random.Random(7)
    lines = [line(draw.randrange(num_lines) if n % 5 == 0 else n) for n in range(num_lines)]
    for n in range(0, num_lines, 97):
        lines[n] = draw.choice([b"{broken\n", b"\n", b'{"a":1}\n', line(n, "unreadable")])
    path.write_bytes(b"".join(lines))
    return path


def make_log(sample: Path, path: Path, num_lines: int) -> None:
    """So many lines of the sample, each unlike any other."""
    lines = [json.loads(line) for line in sample.read_bytes().splitlines()]
    with path.open("w") as file:
        for number, line in enumerate(islice(cycle(lines), num_lines)):
            first, *rest = line["request"]["messages"]
            unlike = {"role": "system", "content": f"Conversation {number}."}
            told = {"messages": [unlike, first, *rest], "user": f"user-{number}"}
            request = line["request"] | told
            file.write(json.dumps(line | {"request": request}) + "\n")


def made_log(path: Path, num_lines: int) -> Path:
    """So many made up lines, or GUARD_TEST_SCREEN_LINES of the sample."""
    if not LINES:
        return write_log(path, num_lines)
    make_log(shared_file("data/chatlog_sample.jsonl"), path, LINES)
    return path


def rows(out: Path) -> list[dict[str, Any]]:
    return [
        json.loads(each)
        for part in sorted(out.glob("part-*.jsonl"))
        for each in part.read_bytes().splitlines()
    ]


def rejects(out: Path) -> list[dict[str, Any]]:
    path = out / "_screening" / "rejects.jsonl"
    return [json.loads(each) for each in path.read_bytes().splitlines()]


def published(out: Path) -> dict[str, str]:
    """The digest of every file: a difference between megabytes would take minutes to tell."""
    files = [*out.glob("part-*"), *(out / "_screening").glob("*.jsonl")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def screen(
    inputs: Sequence[Path | str],
    out: Path,
    judge: Judge | None = None,
    *,
    bench: "Bench | Cluster | None" = None,
    watch: Watch = NOBODY,
    stopping: asyncio.Event | None = None,
    rerun: bool = False,
    format: str = "jsonl",
    review: tuple[str, float | None] | None = None,
) -> None:
    """In chunks of a few lines; `review` is a database, and the share that goes there."""
    sources = find_sources([str(each) for each in inputs])
    terms = replace(TERMS, inputs=tuple(source.name for source in sources), format=format)
    bench = bench or bench_of(judge or ScriptedJudge())
    with Output(out, terms, rerun=rerun) as output:
        screening = bench.screening(READER, output, watch, stopping or asyncio.Event())
        asyncio.run(_run(screening, sources, review))
        output.finish()


async def _run(
    screening: "Screening | ClusterScreening",
    sources: Sequence[Source],
    review: tuple[str, float | None] | None,
) -> None:
    if review is None:
        return await screening.run(sources, CHUNK_LINES)
    assert isinstance(screening, Screening)
    url, share = review
    async with opened_store(url) as store:
        referral = Referral(store, POLICY, REFERRED, share, tenant="acme")
        await replace(screening, referral=referral).run(sources, CHUNK_LINES)


def bench_of(judge: Judge, judged: Judged = JUDGED) -> Bench:
    return Bench(judge, judged, TERMS.list_above, TERMS.threshold, TERMS.thresholds)


@asynccontextmanager
async def opened_store(url: str) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(url)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


class Recording(ScriptedJudge):
    """Takes a moment for each slice, then notes on disk what it has answered."""

    def __init__(self, path: Path, on_slice: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self._on_slice = on_slice

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        self._on_slice()
        await asyncio.sleep(0.005)
        os.write(self._file, b"".join(item.digest for item in items))
        return await super().judge(items)


@asynccontextmanager
async def recording_worker(folder: Path) -> AsyncIterator[Bench]:
    """In a worker: notes on disk what it has answered, and which process it is."""
    (folder / f"worker-{os.getpid()}").touch()
    yield bench_of(Recording(folder / "asked"))


@asynccontextmanager
async def worker_of_another_model() -> AsyncIterator[Bench]:
    yield bench_of(ScriptedJudge(), replace(JUDGED, model_digest="other"))


def asked(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[n : n + DIGEST_BYTES] for n in range(0, len(data), DIGEST_BYTES)]


def screen_until_killed(
    log: Path, out: Path, record: Path, slices: int, milliseconds: float, database_url: str = ""
) -> int:
    """The exit status: 0, or of a kill so long after the slice of that number was asked."""
    # Forked from a server that has imported all of it: each would take a second for that.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["screened"])
    given = (log, out, record, slices, milliseconds / 1000, database_url)
    process = context.Process(target=_screen_until_killed, args=given)
    process.start()
    process.join(300)
    assert process.exitcode is not None, "It neither ended nor died."
    return process.exitcode


def _screen_until_killed(
    log: Path, out: Path, record: Path, slices: int, seconds: float, database_url: str
) -> None:
    kill = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
    kill.daemon = True
    left = count(slices, -1)

    def count_down() -> None:
        next(left) or kill.start()

    count_down()
    review = (database_url, None) if database_url else None
    screen([log], out, Recording(record, count_down), review=review)
