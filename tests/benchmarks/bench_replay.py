"""How fast `guard rescreen` decides so many stored readings again, read from Parquet.

    PYTHONPATH=tests python tests/benchmarks/bench_replay.py [--rows 10000000]

One part of random readings is written once and linked under every number; each row has 14
categories and one in fifty a second window. Prints seconds, those of CPU time (which a busy machine
hardly changes) and the peak of memory.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
from bench_screening import TERMS

from guard_service.policy import Policy
from guard_service.rescreen_command import replay
from guard_service.screening.manifest import Done
from guard_service.screening.output import write_part
from guard_service.screening.row import row_schema

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
            "digest": rng.bytes(16),
            "action": "block" if listed else "allow",
            "categories": listed,
            "signs": [],
            "other_windows": [window] if number % 50 == 0 else None,
        }
        rows.append(window | told)
    return pa.Table.from_pylist(rows, schema=row_schema(TERMS.codes))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    num_parts = parser.parse_args().rows // PART_ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_part(folder, 0, part(), "parquet")
        for number in range(1, num_parts):
            os.link(folder / "part-000000.parquet", folder / f"part-{number:06}.parquet")
        done = [Done(number, "", PART_ROWS, PART_ROWS, 0, 0, 0) for number in range(num_parts)]
        (folder / "_screening").mkdir()
        lines = [orjson.dumps(each) + b"\n" for each in (TERMS, *done)]
        (folder / "_screening" / "manifest.jsonl").write_bytes(b"".join(lines))
        start, start_cpu = time.perf_counter(), time.process_time()
        change = replay(folder, Policy.model_validate(POLICY), None, None)
        took, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{change.num_rows} rows in {took:.1f} s ({cpu:.1f} s of CPU time), peak {peak:.0f} MiB; "
        f"{dict(change.actions)}"
    )


if __name__ == "__main__":
    main()
