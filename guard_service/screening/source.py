"""Where lines come from: files, globs, folders, URLs and stdin, compressed or not, by their names.

A line that cannot be read is a line with a problem, never an exception and never a gap.
"""

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import IO, Any

import fsspec
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs

from guard_service.errors import ScreeningRefused

STDIN = "-"
MAX_LINE_BYTES = 64 * 2**20

_CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
_TABLES = (".csv", ".tsv", ".parquet")
_IN_FOLDERS = (".jsonl", ".ndjson", *_TABLES)
_BUFFER_BYTES = 2**20
# Where a compressed file breaks off, the piece that was being read is lost: pieces are small.
_PIECE_BYTES = 2**13
_BATCH_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line or row as JSON in UTF-8; where `problem` says why not, without data."""

    number: int  # from 1; of a CSV the physical line on which the row begins
    data: bytes = field(repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    name: str  # as the rows and the rejects call it
    num_bytes: int | None  # as stored; None: nobody knows
    open: Callable[[], IO[bytes]] = field(repr=False)


class Reader:
    """The lines of one source; `num_bytes` of it, as stored, have been read so far."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._file: IO[bytes] | None = None

    @property
    def num_bytes(self) -> int:
        try:
            return self._file.tell() if self._file is not None else 0
        except (OSError, ValueError):  # a pipe, or closed: all of it was read
            return self._source.num_bytes or 0

    def __iter__(self) -> Iterator[Line]:
        number = 0
        try:
            with self._source.open() as self._file:
                for line in _read(self._source.name, self._file):
                    number = line.number
                    yield line
        except (OSError, EOFError, pa.ArrowException, csv.Error) as error:
            problem = f"the file cannot be read from here on ({type(error).__name__})"
            yield Line(number + 1, b"", problem)


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """Every file that the inputs name, in a fixed order; ScreeningRefused if one names none."""
    return [source for each in inputs for source in _find(each)]


def _find(name: str) -> list[Source]:
    if name == STDIN:
        return [Source(STDIN, None, lambda: sys.stdin.buffer)]
    try:
        files, path = url_to_fs(name)
        if files.isdir(path):
            paths = [each for each in files.find(path) if _suffixes(each)[0] in _IN_FOLDERS]
        else:
            paths = files.glob(path) if any(c in path for c in "*?[") else [path]
        found = [_source(files, each, name) for each in sorted(paths)]
    except (OSError, ValueError, ImportError) as error:
        raise ScreeningRefused(f"{name}: cannot be opened ({type(error).__name__})") from None
    if not found:
        raise ScreeningRefused(f"{name}: no such files")
    return found


def _source(files: Any, path: str, given: str) -> Source:
    is_local = isinstance(files, fsspec.implementations.local.LocalFileSystem)
    name = path if is_local else files.unstrip_protocol(path)
    if is_local and not os.path.isabs(given):
        name = os.path.relpath(path)
    return Source(name, files.size(path), partial(files.open, path, "rb"))


def _suffixes(name: str) -> tuple[str, str]:
    """The suffix that tells the format, and the one that tells the compression."""
    stem, last = os.path.splitext(name)
    return (os.path.splitext(stem)[1], last) if last in _CODECS else (last, "")


def _read(name: str, file: IO[bytes]) -> Iterator[Line]:
    suffix, compression = _suffixes(name)
    if suffix == ".parquet":
        yield from _parquet_rows(file)
        return
    raw: Any = pa.CompressedInputStream(file, _CODECS[compression]) if compression else file
    with io.BufferedReader(raw, _PIECE_BYTES if compression else _BUFFER_BYTES) as plain:
        if suffix in (".csv", ".tsv"):
            yield from _csv_rows(plain, "\t" if suffix == ".tsv" else ",")
        else:
            yield from _lines(plain)


def _lines(file: IO[bytes]) -> Iterator[Line]:
    readline = partial(file.readline, MAX_LINE_BYTES)
    for number in count(1):
        data = readline()
        if len(data) == MAX_LINE_BYTES and not data.endswith(b"\n"):
            while data and not data.endswith(b"\n"):
                data = readline()
            yield Line(number, b"", f"longer than {MAX_LINE_BYTES} bytes")
        elif not data:
            return
        else:
            yield Line(number, data.removeprefix(b"\xef\xbb\xbf") if number == 1 else data)


def _csv_rows(file: IO[bytes], delimiter: str) -> Iterator[Line]:
    csv.field_size_limit(MAX_LINE_BYTES)
    # What is not UTF-8 becomes half a surrogate pair, which is no JSON: a problem of its row alone.
    with io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        rows = csv.reader(text, delimiter=delimiter)
        yield from _under_header(rows, next(rows, []))


def _under_header(rows: Any, header: list[str]) -> Iterator[Line]:
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Line(number, b"", f"not a row of CSV ({error})")
            continue
        if row is None:
            return
        if len(row) > len(header):
            yield Line(number, b"", "has more fields than the header")
        else:
            yield _as_json(number, dict(zip(header, row, strict=False)))


def _parquet_rows(file: IO[bytes]) -> Iterator[Line]:
    numbers = count(1)
    for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS):
        for row in batch.to_pylist():
            yield _as_json(next(numbers), row)


def _as_json(number: int, row: dict[str, Any]) -> Line:
    try:
        return Line(number, orjson.dumps(row, default=_plain))
    except TypeError:
        return Line(number, b"", "holds what is not text in UTF-8")


def _plain(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
