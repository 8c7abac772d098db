"""Files to records: JSON lines, JSON arrays and CSV, also gzipped, and Parquet.

What cannot be read stands in its place as Unread, with its line; nothing is passed over in silence
and no text is quoted. Knows nothing of what a record means.
"""

import csv
import gzip
import json
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO

from guard_service.errors import InvalidRequest, Violation


@dataclass(frozen=True, slots=True)
class Record:
    line: int  # from 1; of Parquet and of a JSON array the row
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unread:
    line: int
    reason: str


def read_records(path: Path) -> Iterator[Record | Unread]:
    """Everything in the file in order; InvalidRequest where it cannot even be opened."""
    line = 0
    try:
        with path.open("rb") as file:
            for record in _reader(path, file):
                line = record.line
                yield record
    except (EOFError, zlib.error, gzip.BadGzipFile, csv.Error):
        yield Unread(line + 1, "the rest of the file is damaged")
    except OSError as error:
        raise _refusal(path, error.strerror or "cannot be read") from None


def _reader(path: Path, file: BinaryIO) -> Iterator[Record | Unread]:
    *_, kind = [".jsonl", *(suffix.lower() for suffix in path.suffixes if suffix != ".gz")]
    if kind == ".parquet":
        return _parquet(path)
    opened: Any = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
    if kind == ".csv":
        return _csv(opened)
    begins = opened.peek(8).removeprefix(BOM_UTF8).lstrip()[:1]
    return _array(path, opened) if begins == b"[" else _lines(opened)


def _lines(file: Iterable[bytes]) -> Iterator[Record | Unread]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            values = json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError):  # not the error's text: it may quote the line
            yield Unread(line, "not JSON in UTF-8")
        else:
            yield _record(line, values)


def _array(path: Path, file: BinaryIO) -> Iterator[Record | Unread]:
    try:
        rows = json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _refusal(path, "not JSON in UTF-8") from None
    return (_record(number, values) for number, values in enumerate(rows, 1))


def _csv(file: BinaryIO) -> Iterator[Record | Unread]:
    csv.field_size_limit(sys.maxsize)
    # Bytes that are no UTF-8 become what no text holds, so that they spoil their own row alone.
    with TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="") as text:
        rows = csv.DictReader(text, strict=True)
        for values in rows:
            if None in values or None in values.values():
                yield Unread(rows.line_num, "has not the columns of the header")
            else:
                yield _record(rows.line_num, values)


def _parquet(path: Path) -> Iterator[Record | Unread]:
    # Here, not above: it takes a quarter of a second, and most files are not Parquet.
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    line = 0
    try:
        for batch in ParquetFile(path).iter_batches(batch_size=1000):
            for values in batch.to_pylist():
                line += 1
                yield _record(line, values)
    except ArrowException:
        yield Unread(line + 1, "the rest of the file is damaged")


def _record(line: int, values: Any) -> Record | Unread:
    if not isinstance(values, dict):
        return Unread(line, "must be a JSON object")
    try:
        json.dumps(values, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:  # also half a surrogate pair, which JSON can write
        return Unread(line, "not UTF-8")
    return Record(line, values)


def _refusal(path: Path, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(str(path), problem),))
