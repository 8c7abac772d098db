"""A published part: read, compared with what another policy says of it, and written anew."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from guard_service.errors import ScreeningRefused
from guard_service.policy import Policy
from guard_service.screening.manifest import Done, Terms, terms_of
from guard_service.screening.replay import Flags, Numbers, Redecided
from guard_service.screening.row import row_schema

_NUM_READERS = 2
_WINDOW = ("unsafe_score", "scores", "listed", "label_mass")
PLACE = ("file", "line", "message", "choice", "id")
# What a decision is made of, and what it was before.
DECIDED = ("action", "categories", *_WINDOW, "other_windows", "signs", "digest")


def read_manifest(folder: Path) -> tuple[Terms, list[Done]]:
    """Terms of an output and what is published of it; ScreeningRefused where there is none."""
    path = folder / "_screening" / "manifest.jsonl"
    if not path.is_file():
        raise ScreeningRefused(f"{folder}: not an output of guard screen")
    terms, *done = [orjson.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return terms_of(terms), [Done(**each) for each in done]


def read_parts(
    folder: Path, done: Sequence[Done], terms: Terms, columns: Sequence[str] | None
) -> Iterator[tuple[Done, pa.Table]]:
    """Each part in order, the next ones read meanwhile; columns as of `read_part`."""
    with ThreadPoolExecutor(_NUM_READERS) as reading:
        reads = (reading.submit(read_part, folder, each.number, terms, columns) for each in done)
        coming = deque(islice(reads, _NUM_READERS))
        for each in done:
            table = coming.popleft().result()
            coming.extend(islice(reads, 1))
            yield each, table


def read_part(
    folder: Path, number: int, terms: Terms, columns: Sequence[str] | None = None
) -> pa.Table:
    """One part; of Parquet these columns alone, of None all."""
    path = folder / f"part-{number:06}.{terms.format}"
    if terms.format == "parquet":
        # A part is too small for threads of its own.
        return pq.ParquetFile(path).read(columns=columns, use_threads=False)
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    for row in rows:
        row["digest"] = bytes.fromhex(row["digest"])
        row["time"] = row["time"] and datetime.fromisoformat(row["time"])
    return pa.Table.from_pylist(rows, schema=row_schema(terms.codes))


def flips(table: pa.Table, before: Flags, after: Redecided) -> pa.Table:
    """The rows whose action is another now: where they are, both actions, and the scores."""
    numbers = np.flatnonzero(before != after.blocks)
    chosen = table.take(pa.array(numbers))
    found = _found(table.schema, after)
    now = {
        "before": chosen["action"].cast(pa.string()),
        "after": found["action"].take(pa.array(numbers)).cast(pa.string()),
        "categories_before": chosen["categories"],
        "categories_after": found["categories"].take(pa.array(numbers)),
        "unsafe_score": pa.array(after.unsafe_scores[numbers]),
        "scores": _scores(table.schema, after, numbers),
    }
    return pa.table({name: chosen[name] for name in PLACE} | now)


def rewritten(table: pa.Table, after: Redecided, policy: Policy) -> pa.Table:
    """The part as a screening by this policy would have written it."""
    told = {"policy": policy.id, "policy_version": policy.version, "policy_digest": policy.digest}
    columns = _found(table.schema, after) | {
        name: pa.array([value] * len(table), pa.string()) for name, value in told.items()
    }
    if (after.worst != np.arange(len(table))).any():
        columns |= _windows(table, after)
    for name, column in columns.items():
        place = table.schema.get_field_index(name)
        field = table.schema.field(place)
        is_word = pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(column.type)
        table = table.set_column(place, field, column.dictionary_encode() if is_word else column)
    return table


def _found(schema: pa.Schema, after: Redecided) -> dict[str, pa.Array]:
    codes = [field.name for field in schema.field("scores").type]
    return {
        "action": pa.array(np.where(after.blocks, "block", "allow").astype(object), pa.string()),
        "review": pa.array(after.needs_review),
        "unsafe": pa.array(after.is_unsafe),
        "categories": _strongest_first(after, codes),
    }


def _strongest_first(after: Redecided, codes: list[str]) -> pa.ListArray:
    order = np.argsort(np.where(after.flagged, -after.scores, np.inf), axis=0, kind="stable")
    counts = after.flagged.sum(axis=0)
    is_flagged = np.arange(len(codes))[:, None] < counts
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(codes).take(pa.array(order.T[is_flagged.T])))


def _scores(schema: pa.Schema, after: Redecided, numbers: Numbers) -> pa.StructArray:
    lines = [pa.array(line[numbers]) for line in after.scores]
    return pa.StructArray.from_arrays(lines, fields=list(schema.field("scores").type))


def _windows(table: pa.Table, after: Redecided) -> dict[str, pa.Array]:
    """The window columns where another window is the worst one now."""
    others = table["other_windows"].combine_chunks()
    kind = others.type.value_type
    first = [table[name].combine_chunks() for name in _WINDOW]
    every = pa.concat_arrays(
        [pa.StructArray.from_arrays(first, fields=list(kind)), pc.list_flatten(others)]
    )
    parents = pc.list_parent_indices(others).to_numpy(zero_copy_only=False)
    rows = np.concatenate([np.arange(len(table)), parents])
    order = np.argsort(rows, kind="stable")
    order = order[~np.isin(order, after.worst)]
    counts = np.bincount(rows[order], minlength=len(table))
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    rest = pa.ListArray.from_arrays(ends, every.take(pa.array(order)), mask=pa.array(counts == 0))
    worst = every.take(pa.array(after.worst))
    return {name: pc.struct_field(worst, [name]) for name in _WINDOW} | {
        "other_windows": rest.cast(others.type)
    }
