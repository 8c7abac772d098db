"""Two outputs compared, row by row: any number of rows, in any order, in bounded memory.

Both are spilled into buckets of temporary files, so that rows with equal keys meet in one bucket;
then a bucket of each is in memory at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from guard_service.screening.change import Change, Decided
from guard_service.screening.manifest import Done, Terms
from guard_service.screening.part import PLACE, read_manifest, read_parts
from guard_service.screening.replay import Flags, named
from guard_service.screening.subject import DIGEST_BYTES

# Of scores, from the first output to the second.
SHIFTS = (-1.0, -0.5, -0.2, -0.1, -0.05, -0.01, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)

_BUCKET_ROWS = 200_000
_COLUMNS = (*PLACE, "digest", "action", "categories", "unsafe_score")
_WORDS = ("file", "action")


class Key(Enum):
    """What makes two rows the same."""

    PLACE = "place"  # file, line, message and choice
    CONVERSATION = "conversation"  # the digest; of equal ones the first


@dataclass(slots=True)
class Difference:
    """Buckets so far; of equal keys of PLACE with other texts nothing but their number."""

    codes: tuple[str, ...]  # of both
    num_only_first: int = 0
    num_only_second: int = 0
    num_other_texts: int = 0
    change: Change = field(default_factory=Change)
    shifts: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(len(SHIFTS) - 1, np.int64)
    )
    sum_shift: float = 0.0
    max_shift: float = 0.0

    @property
    def mean_shift(self) -> float:
        """Of the sizes, whatever the direction."""
        return self.sum_shift / self.change.num_rows if self.change.num_rows else 0.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of a bucket of each output: those with equal keys, and those without a partner."""

    first: pa.Table
    second: pa.Table
    only_first: pa.Table
    only_second: pa.Table


OnRows = Callable[[pa.Table], None]


def compare(first: Path, second: Path, key: Key, on_rows: OnRows | None = None) -> Difference:
    """`on_rows` gets what differs: other actions or categories, other texts, or only in one."""
    opened = [(folder, *read_manifest(folder)) for folder in (first, second)]
    codes = tuple(dict.fromkeys(code for _, terms, _ in opened for code in terms.codes))
    num_rows = max(sum(each.num_rows for each in done) for _, _, done in opened)
    num_buckets = num_rows // _BUCKET_ROWS + 1
    difference = Difference(codes)
    with TemporaryDirectory() as name:
        spilled = [
            _spill(*each, key, [Path(name) / f"{side}-{n}" for n in range(num_buckets)])
            for side, each in enumerate(opened)
        ]
        for paths in zip(*spilled, strict=True):
            if not any(path.exists() for path in paths):
                continue
            mine, yours = _read(*paths)
            rows = _add(difference, _pairs(mine, yours, key))
            if on_rows:
                on_rows(rows)
    return difference


def _spill(
    folder: Path, terms: Terms, done: Sequence[Done], key: Key, paths: list[Path]
) -> list[Path]:
    with ExitStack() as stack:
        writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
        for _, part in read_parts(folder, done, terms, _COLUMNS):
            table = _plain(part)
            for bucket, rows in _by_bucket(table, key, len(paths)):
                if bucket not in writers:
                    writer = pa.ipc.new_stream(paths[bucket], table.schema)
                    writers[bucket] = stack.enter_context(writer)
                writers[bucket].write_table(rows)
    return paths


def _by_bucket(table: pa.Table, key: Key, num_buckets: int) -> Iterator[tuple[int, pa.Table]]:
    if key is Key.PLACE:
        buckets = table["line"].to_numpy() % num_buckets
    else:
        digests = b"".join(table["digest"].to_pylist())
        words = np.frombuffer(digests, np.uint64).reshape(-1, DIGEST_BYTES // 8)
        buckets = (words[:, 0] % np.uint64(num_buckets)).astype(np.int64)
    order = np.argsort(buckets, kind="stable")
    table, buckets = table.take(pa.array(order)), buckets[order]
    starts = np.flatnonzero(np.diff(buckets, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(buckets)], strict=True):
        yield int(buckets[start]), table.slice(start, end - start)


def _plain(part: pa.Table) -> pa.Table:
    """With words as text: each part numbers its own."""
    for name in _WORDS:
        place = part.schema.get_field_index(name)
        part = part.set_column(place, name, part[name].cast(pa.string()))
    return part.select(_COLUMNS).replace_schema_metadata(None)


def _read(*paths: Path) -> list[pa.Table]:
    """A bucket of each; without rows where an output has none of it."""
    tables = []
    for path in paths:
        if path.exists():
            with pa.ipc.open_stream(path) as reader:
                tables.append(reader.read_all().combine_chunks())
        else:
            tables.append(None)
    (schema, *_) = (table.schema for table in tables if table is not None)
    return [schema.empty_table() if table is None else table for table in tables]


def _pairs(first: pa.Table, second: pa.Table, key: Key) -> Pairs:
    names = list(PLACE[:-1]) if key is Key.PLACE else ["digest"]
    left, right = _keys(first, names, "first"), _keys(second, names, "second")
    joined = left.join(right, names, join_type="full outer")
    joined = joined.sort_by([("first", "ascending"), ("second", "ascending")])
    mine, yours = joined["first"], joined["second"]
    both = pc.and_(pc.is_valid(mine), pc.is_valid(yours))
    return Pairs(
        first.take(mine.filter(both)),
        second.take(yours.filter(both)),
        first.take(mine.filter(pc.is_null(yours))),
        second.take(yours.filter(pc.is_null(mine))),
    )


def _keys(table: pa.Table, names: list[str], number: str) -> pa.Table:
    """Each key once, with the number of the first row that has it."""
    numbered = table.select(names).append_column("row", pa.array(np.arange(len(table))))
    found = numbered.group_by(names).aggregate([("row", "min")])
    return found.select([*names, "row_min"]).rename_columns([*names, number])


def _add(difference: Difference, pairs: Pairs) -> pa.Table:
    """Count a bucket; the rows of it that differ."""
    is_same = pc.equal(pairs.first["digest"], pairs.second["digest"])
    first, second = pairs.first.filter(is_same), pairs.second.filter(is_same)
    before, after = (_decided(each, difference.codes) for each in (first, second))
    difference.change.add(before, after, difference.codes)
    _shift(difference, second["unsafe_score"].to_numpy() - first["unsafe_score"].to_numpy())
    difference.num_only_first += len(pairs.only_first)
    difference.num_only_second += len(pairs.only_second)
    difference.num_other_texts += len(pairs.first) - len(first)
    flips = (before.blocks != after.blocks) | (before.flagged != after.flagged).any(axis=0)
    chosen, is_other = pa.array(flips), pc.invert(is_same)
    return pa.concat_tables(
        [
            _rows("decision", first.filter(chosen), second.filter(chosen)),
            _rows("text", pairs.first.filter(is_other), pairs.second.filter(is_other)),
            _rows("only first", pairs.only_first, None),
            _rows("only second", None, pairs.only_second),
        ]
    )


def _decided(table: pa.Table, codes: Sequence[str]) -> Decided:
    blocks: Flags = pc.equal(table["action"], "block").to_numpy().astype(np.bool_)
    return Decided(blocks, named(_whole(table["categories"]), codes))


def _shift(difference: Difference, shifts: npt.NDArray[np.float64]) -> None:
    if not len(shifts):
        return
    difference.shifts += np.histogram(shifts, SHIFTS)[0]
    difference.sum_shift += float(np.abs(shifts).sum())
    difference.max_shift = max(difference.max_shift, float(np.abs(shifts).max()))


def _rows(differs: str, first: pa.Table | None, second: pa.Table | None) -> pa.Table:
    """One line for each: its place, and what both say; null where there is no such row."""
    known = first if first is not None else second
    assert known is not None, "This is a bug: a row of neither output."
    told = {"differs": pa.array([differs] * len(known), pa.string())}
    told |= {name: known[name] for name in PLACE}
    for name in ("action", "categories", "unsafe_score"):
        for side, table in (("first", first), ("second", second)):
            kind = known.schema.field(name).type
            told[f"{name}_{side}"] = pa.nulls(len(known), kind) if table is None else table[name]
    return pa.table(told)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
