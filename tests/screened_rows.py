"""Outputs of random rows, as guard screen would have written them."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from screened import TERMS

from guard_service.screening.manifest import Done
from guard_service.screening.output import write_part
from guard_service.screening.row import row_schema

_FIRST = datetime(2026, 2, 27, 12, tzinfo=UTC)
SCREENED = replace(TERMS, threshold=0.6, thresholds=(0.2, *[None] * (len(TERMS.codes) - 1)))

Row = dict[str, Any]


def random_row(draw: random.Random, number: int) -> Row:
    score = round(draw.random() ** 3, 2)  # rounded, so that some are equal and some on an edge
    flagged = draw.sample(TERMS.codes, draw.choice((0, 1, 1, 2))) if score >= 0.6 else []
    told = {
        "file": draw.choice(("a.jsonl", "b.jsonl")),
        "line": number + 1,
        "message": draw.randrange(5),
        "choice": 0,
        "role": draw.choice(("user", "assistant")),
        "id": f"id-{number}",
        "time": draw.choice((None, _FIRST + timedelta(hours=draw.randrange(100)))),
        "user": draw.choice(("", "u1", "u2", "u3", "u4")),
        "log_model": draw.choice(("", "small", "large")),
        "digest": draw.randrange(1, 60).to_bytes(16, "big"),
        "action": "block" if flagged and draw.random() < 0.8 else "allow",
        "review": draw.random() < 0.1,
        "unsafe": score >= 0.6,
        "categories": flagged,
        "assessment": draw.choice(("complete", "complete", "partial")),
        "judged_chars": draw.randrange(100),
        "total_chars": 100,
        "signs": draw.choice(([], ["role"], ["bidi", "role"])),
    }
    scores = {code: round(score * draw.random() / 7, 3) for code in TERMS.codes}
    window = {"unsafe_score": score, "scores": scores, "listed": flagged, "label_mass": 0.99}
    return told | window | {"other_windows": None}


def write_output(
    folder: Path, parts: Sequence[Sequence[Row]], gaps: Sequence[Row] = (), format: str = "parquet"
) -> Path:
    own = folder / "_screening"
    own.mkdir(parents=True)
    lines = [orjson.dumps(replace(SCREENED, format=format, inputs=("a.jsonl", "b.jsonl")))]
    rejects = b"".join(orjson.dumps(gap) + b"\n" for gap in gaps)
    (own / "rejects.jsonl").write_bytes(rejects)
    for number, rows in enumerate(parts):
        table = pa.Table.from_pylist(list(rows), schema=row_schema(TERMS.codes))
        write_part(folder, number, table, format)
        num_unsafe = sum(row["unsafe"] for row in rows)
        done = Done(number, "", len(rows), len(rows), num_unsafe, len(gaps), len(rejects))
        lines.append(orjson.dumps(done))
    (own / "manifest.jsonl").write_bytes(b"\n".join([*lines, b""]))
    return folder
