import bz2
import gzip
import io
import os
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard_service.errors import ScreeningRefused
from guard_service.screening import source
from guard_service.screening.source import Line, Reader, find_sources


def lines(path: Path | str) -> list[Line]:
    (found,) = find_sources([str(path)])
    return list(Reader(found))


def told(path: Path) -> list[tuple[int, str]]:
    return [(line.number, line.problem or line.data.decode()) for line in lines(path)]


PACK = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACK)
def test_lines_are_numbered_whatever_the_compression(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(PACK[suffix](b"\xef\xbb\xbfone\r\n") + PACK[suffix](b"\ntwo"))
    assert told(path) == [(1, "one\r\n"), (2, "\n"), (3, "two")]  # both frames, not the first alone


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_breaks_off_ends_in_a_line_with_a_problem(tmp_path: Path, suffix: str) -> None:
    whole = b"".join(b"%d %b\n" % (n, os.urandom(40).hex().encode()) for n in range(20_000))
    packed = PACK[suffix](whole)
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(packed[: len(packed) // 2])
    *good, last = lines(path)
    assert b"".join(line.data for line in good) == whole[: sum(len(line.data) for line in good)]
    assert len(good) > 5_000
    assert last.number == len(good) + 1
    assert "cannot be read from here on" in last.problem


def test_what_is_no_gzip_at_all_is_one_line_with_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b"no gzip")
    ((number, problem),) = told(tmp_path / "a.jsonl.gz")
    assert number == 1
    assert "cannot be read" in problem


def test_an_overlong_line_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_LINE_BYTES", 10)
    (tmp_path / "a.jsonl").write_bytes(b"short\n" + b"x" * 35 + b"\nnext\n" + b"y" * 10)
    assert told(tmp_path / "a.jsonl") == [
        (1, "short\n"),
        (2, "longer than 10 bytes"),
        (3, "next\n"),
        (4, "longer than 10 bytes"),
    ]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv"):
        (tmp_path / name).touch()
        assert lines(tmp_path / name) == []


def test_rows_of_csv_are_numbered_by_the_line_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'id,text\r\n1,"two\nlines"\r\n2,\xff\n3\n4,a,b\n5,last')
    assert told(path) == [
        (2, '{"id":"1","text":"two\\nlines"}'),
        (4, "holds what is not text in UTF-8"),
        (5, '{"id":"3"}'),
        (6, "has more fields than the header"),
        (7, '{"id":"5","text":"last"}'),
    ]


def test_tabs_separate_a_tsv(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("id\ttext\n1\ta,b\n")
    assert told(tmp_path / "a.tsv") == [(2, '{"id":"1","text":"a,b"}')]


def test_rows_of_parquet_become_json(tmp_path: Path) -> None:
    texts = pa.array([b"bytes of text", b"\xff", None], pa.binary())
    table = pa.table({"id": [1, 2, 3], "text": texts, "turns": [[{"a": "b"}], [], None]})
    pq.write_table(table, tmp_path / "a.parquet")
    first, second, third = lines(tmp_path / "a.parquet")
    assert orjson.loads(first.data) == {"id": 1, "text": "bytes of text", "turns": [{"a": "b"}]}
    assert second == Line(2, b"", "holds what is not text in UTF-8")
    assert orjson.loads(third.data) == {"id": 3, "text": None, "turns": None}


def test_half_a_parquet_file_is_one_line_with_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["a"]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    ((number, problem),) = told(path)
    assert number == 1
    assert "cannot be read" in problem


def test_folders_and_globs_name_their_files_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.jsonl", "a.jsonl.gz", "deep/c.csv", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path.parent)
    relative = tmp_path.name
    assert [each.name for each in find_sources([relative])] == [
        f"{relative}/a.jsonl.gz",
        f"{relative}/b.jsonl",
        f"{relative}/deep/c.csv",
    ]
    globbed = find_sources([f"{tmp_path}/*.jsonl*"])
    assert [Path(each.name).name for each in globbed] == ["a.jsonl.gz", "b.jsonl"]


def test_urls_are_opened_through_fsspec() -> None:
    import fsspec

    with fsspec.open("memory://logs/a.jsonl", "wb") as file:
        file.write(b"one\n")
    (found,) = find_sources(["memory://logs/*.jsonl"])
    assert found.name == "memory:///logs/a.jsonl"
    assert [line.data for line in Reader(found)] == [b"one\n"]


def test_what_names_no_file_is_refused(tmp_path: Path) -> None:
    for name in (tmp_path / "none.jsonl", tmp_path / "*.jsonl", "nowhere://x/y", tmp_path):
        with pytest.raises(ScreeningRefused, match=r"no such files|cannot be opened"):
            find_sources([str(name)])


def test_stdin_is_read_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    (found,) = find_sources(["-"])
    assert found.num_bytes is None
    assert [line.data for line in Reader(found)] == [b"one\n", b"two\n"]


def test_a_reader_says_how_far_into_the_stored_file_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"one\n" * 1000))
    (found,) = find_sources([str(path)])
    reader = Reader(found)
    assert reader.num_bytes == 0
    list(reader)
    assert reader.num_bytes == found.num_bytes == path.stat().st_size
