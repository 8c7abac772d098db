"""A chunk as it will be published: the bytes of its part and of its rejects, and what they count.

Equal chunks, answers and terms give equal bytes, whoever makes them: here or on another machine.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from guard_service.screening.chunk import Chunk
from guard_service.screening.judgement import Answers, Judgement
from guard_service.screening.manifest import Terms
from guard_service.screening.row import Judged, table_of
from guard_service.screening.subject import Gap, Item

PARQUET, JSONL = "parquet", "jsonl"


@dataclass(frozen=True, slots=True)
class Finished:
    number: int
    digest: str
    num_bytes: int  # of the inputs as stored that were read up to its end
    num_lines: int
    num_rows: int
    num_unsafe: int
    num_gaps: int
    part: bytes = field(repr=False)
    rejects: bytes = field(repr=False)


def finish(chunk: Chunk, answers: Answers, terms: Terms) -> Finished:
    answered = [(item, answers[item.digest]) for item in chunk.items]
    rows = [(item, answer) for item, answer in answered if isinstance(answer, Judgement)]
    gaps = list(_gaps(chunk, answers))
    return Finished(
        number=chunk.raw.number,
        digest=chunk.digest,
        num_bytes=chunk.raw.num_bytes,
        num_lines=chunk.raw.num_lines,
        num_rows=len(rows),
        num_unsafe=sum(judgement.is_unsafe for _, judgement in rows),
        num_gaps=len(gaps),
        part=part_of(table_of(rows, judged_by(terms)), terms.format),
        rejects=b"".join(map(_reject, gaps)),
    )


def judged_by(terms: Terms) -> Judged:
    return Judged(
        terms.policy,
        terms.policy_version,
        terms.policy_digest,
        terms.model,
        terms.model_digest,
        terms.codes,
    )


def part_of(table: pa.Table, kind: str) -> bytes:
    """The file of these rows."""
    if kind == JSONL:
        return b"".join(_json_lines(table))
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _json_lines(table: pa.Table) -> Iterable[bytes]:
    for row in table.to_pylist():
        row["digest"] = row["digest"].hex()
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _gaps(chunk: Chunk, answers: Answers) -> Iterable[Gap]:
    """All that has no row, in the order of the input."""
    for entry in chunk.entries:
        if isinstance(entry, Gap):
            yield entry
        elif not isinstance(answer := answers[entry.digest], Judgement):
            yield _unjudged(entry, answer.reason)


def _unjudged(item: Item, reason: str) -> Gap:
    return Gap(item.place, reason, item.message, item.choice, item.origin.id)


def _reject(gap: Gap) -> bytes:
    values = {
        "file": gap.place.file,
        "line": gap.place.line,
        "message": gap.message,
        "choice": gap.choice,
        "id": gap.id,
        "reason": gap.reason,
    }
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)
