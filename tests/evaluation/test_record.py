import csv
import gzip
import json
from pathlib import Path

import pytest

from guard_service.errors import InvalidRequest
from guard_service.evaluation.record import Record, Unread, read_records

ROWS = [{"text": "a\r\nb", "unsafe": True}, {"text": 'c, "d"', "unsafe": False}]


def read(path: Path) -> list[tuple[int, object]]:
    return [
        (one.line, one.reason if isinstance(one, Unread) else dict(one.values))
        for one in read_records(path)
    ]


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.json", "rows"])
def test_json_lines_are_read_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xef\xbb\xbf" + lines(*ROWS).replace(b"\n", b"\r\n\r\n"))
    assert read(path) == [(1, ROWS[0]), (3, ROWS[1])]


def test_a_json_array_is_read_by_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([*ROWS, 7], indent=1))
    assert read(path) == [(1, ROWS[0]), (2, ROWS[1]), (3, "must be a JSON object")]


def test_csv_is_read_by_its_header_with_the_line_where_a_row_ends(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    assert read(path) == [
        (3, {"text": "a\r\nb", "unsafe": "True"}),
        (4, {"text": 'c, "d"', "unsafe": "False"}),
    ]


def test_a_csv_row_with_other_columns_or_bytes_spoils_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"text,unsafe\na,1,2\nb\n\xff,1\nc,1\n")
    assert read(path) == [
        (2, "has not the columns of the header"),
        (3, "has not the columns of the header"),
        (4, "not UTF-8"),
        (5, {"text": "c", "unsafe": "1"}),
    ]


def test_parquet_is_read_by_its_rows(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    assert read(path) == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz"])
def test_gzipped_files_are_read_through(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines(ROWS[0]) if "json" in name else b"text\na\n"))
    assert len(read(path)) == 1


def test_a_gzip_file_that_ends_early_gives_its_rows_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    many = [{"text": f"{n * 7919 % 10_007}"} for n in range(5_000)]
    path.write_bytes(gzip.compress(lines(*many))[:-2_000])
    *whole, last = read(path)
    assert [values for _, values in whole] == many[: len(whole)]
    assert 0 < len(whole) < 5_000
    assert last == (len(whole) + 1, "the rest of the file is damaged")


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl.gz"])
def test_a_file_that_is_not_what_it_says_is_one_damaged_row(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"neither of them")
    assert read(path) == [(1, "the rest of the file is damaged")]


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"none.jsonl: No such file"):
        list(read_records(tmp_path / "none.jsonl"))


def test_a_record_shows_no_text() -> None:
    assert "secret" not in repr(Record(1, {"text": "secret"}))
