"""How fast `guard rescreen` decides so many stored readings again, or a report is made of them.

    PYTHONPATH=tests python tests/benchmarks/bench_replay.py [--rows 10000000] [--report]

One part of random readings is written once and linked under every number; each row has 14
categories and one in fifty a second window. Prints seconds, those of CPU time (which a busy machine
hardly changes) and the peak of memory.
"""

import argparse
import os
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
from bench_screening import TERMS

from guard_service.policy import Policy
from guard_service.rescreen_command import replay
from guard_service.screening.manifest import Done
from guard_service.screening.output import write_part
from guard_service.screening.report import write_report
from guard_service.screening.row import row_schema

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
PART_ROWS = 8_000  # as guard screen writes them
POLICY = {
    "id": "other",
    "version": "1",
    "threshold": 0.6,
    "categories": {code: {"threshold": 0.2} for code in TERMS.codes},
}


def part() -> pa.Table:
    rng = np.random.default_rng(1)
    unsafe = rng.random(PART_ROWS) ** 4
    shares = rng.dirichlet(np.full(len(TERMS.codes), 0.2), PART_ROWS)
    rows = []
    for number, (score, share) in enumerate(zip(unsafe.tolist(), shares, strict=True)):
        scores = dict(zip(TERMS.codes, (score * share).tolist(), strict=True))
        listed = [TERMS.codes[int(share.argmax())]] if score >= 0.5 else []
        window = {"unsafe_score": score, "scores": scores, "listed": listed, "label_mass": 1.0}
        told = {
            "file": "log.jsonl",
            "line": number,
            "message": 0,
            "role": "user",
            "time": FIRST + timedelta(minutes=number),
            "user": f"user-{number}",
            "log_model": "small",
            "digest": rng.bytes(16),
            "action": "block" if listed else "allow",
            "review": bool(listed),
            "unsafe": bool(listed),
            "categories": listed,
            "assessment": "complete",
            "judged_chars": 100,
            "total_chars": 100,
            "signs": [],
            "other_windows": [window] if number % 50 == 0 else None,
        }
        rows.append(window | told)
    return pa.Table.from_pylist(rows, schema=row_schema(TERMS.codes))


def rescreen(folder: Path) -> str:
    change = replay(folder, Policy.model_validate(POLICY), None, None)
    return f"{change.num_rows} rows decided again, {dict(change.actions)}"


def report(folder: Path) -> str:
    total = write_report(folder).total
    return f"report of {total.num_rows} rows, {total.num_blocked} blocked"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    num_parts = given.rows // PART_ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_part(folder, 0, part(), "parquet")
        for number in range(1, num_parts):
            os.link(folder / "part-000000.parquet", folder / f"part-{number:06}.parquet")
        done = [Done(number, "", PART_ROWS, PART_ROWS, 0, 0, 0) for number in range(num_parts)]
        (folder / "_screening").mkdir()
        (folder / "_screening" / "rejects.jsonl").touch()
        lines = [orjson.dumps(each) + b"\n" for each in (TERMS, *done)]
        (folder / "_screening" / "manifest.jsonl").write_bytes(b"".join(lines))
        start, start_cpu = time.perf_counter(), time.process_time()
        told = report(folder) if given.report else rescreen(folder)
        took, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{told}, in {took:.1f} s ({cpu:.1f} s of CPU time), peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
