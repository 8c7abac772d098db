"""How fast `guard screen` is without a model, and what memory it takes.

    PYTHONPATH=tests python tests/benchmarks/bench_screening.py LOG.jsonl [--rows 200000] \
        [--share 0.05]

Makes a log of so many rows from LOG (each line made unlike any other and of a user of its own, so
that nothing is judged from memory), screens it into Parquet with a judge that answers at once, and
prints rows per second, seconds of CPU time (which a busy machine hardly changes) and anonymous
memory along the way. The pages of what was seen are not in that: they are a file's, and the system
takes them back. Everything is on disk at the end, as in production. Then the same of the report,
made by a process of its own. With --share that share of the conversations is put before people, in
SQLite.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from screened import POLICY, REFERRED, make_log, opened_store
from scripted_judge import JUDGED, ScriptedJudge

from guard_service.screening.chunk import LineReader
from guard_service.screening.manifest import Done, Terms
from guard_service.screening.output import Output
from guard_service.screening.referral import Referral
from guard_service.screening.run import Screening, Watch
from guard_service.screening.source import find_sources
from guard_service.screening.subject import Subject

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
    format="parquet",
)


class Forgetful(ScriptedJudge):
    """Keeps no list of what it was asked, which would grow."""

    async def judge(self, items):  # type: ignore[no-untyped-def]
        answers = await super().judge(items)
        self.asked.clear()
        return answers


def anonymous_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


async def run(screening: Screening, log: Path, share: float, database: str) -> None:
    if not share:
        return await screening.run(find_sources([str(log)]))
    async with opened_store(database) as store:
        referral = Referral(store, POLICY, REFERRED, share)
        await replace(screening, referral=referral).run(find_sources([str(log)]))


def screen(log: Path, folder: Path, share: float) -> None:
    num_rows, memory = 0, []
    started, started_cpu = time.perf_counter(), time.process_time()

    def published(_: int, done: Done) -> None:
        nonlocal num_rows
        num_rows += done.num_rows
        memory.append(anonymous_mb())

    reader = LineReader(frozenset({Subject.LAST_USER, Subject.REPLY}))
    with Output(folder, TERMS) as output:
        screening = Screening(reader, Forgetful(), output, Watch(on_published=published))
        asyncio.run(run(screening, log, share, f"sqlite:///{folder.parent / 'guard.db'}"))
    seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    print(
        f"{num_rows} rows of {log.stat().st_size / 2**20:.0f} MiB in {seconds:.1f} s "
        f"({cpu:.1f} s of CPU time): {num_rows / seconds:.0f} rows/s"
    )
    print("MiB at most in each tenth:", *(f"{each:.0f}" for each in by_tenth(memory)))


def report(folder: Path) -> None:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "guard_service", "screen-report", folder], check=True)
    seconds, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"report in {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of CPU time), "
        f"{used.ru_maxrss / 1024:.0f} MiB at most"
    )


def by_tenth(samples: list[float]) -> list[float]:
    size = -(-len(samples) // 10)
    return [max(samples[n : n + size]) for n in range(0, len(samples), size)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--share", type=float, default=0.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        make_log(given.log, log, given.rows // 2)
        screen(log, Path(folder) / "out", given.share)
        report(Path(folder) / "out")


if __name__ == "__main__":
    main()
