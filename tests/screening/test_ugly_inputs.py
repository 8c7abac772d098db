"""Inputs as they are found: every line is judged or in the rejects with its reason."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screened import line, rejects, rows, screen


def lines_of(entries: Sequence[dict[str, Any]], name: str) -> set[int]:
    return {entry["line"] for entry in entries if entry["file"].endswith(name)}


UGLY = st.lists(
    st.one_of(
        st.integers(0, 5).map(line),
        st.integers(0, 5).map(lambda n: line(n).replace(b"\n", b"\r\n")),
        st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"") + b"\n"),
        st.sampled_from(
            [
                b"\n",
                b"null\n",
                b"[]\n",
                b'{"text": "\xff"}\n',
                b'{"text": "\\ud800"}\n',
                b'{"text": 3}\n',
                b'{"prompt": "a"}\n',
                b'{"messages": []}\n',
                b'{"messages": [{"role": "user"}]}\n',
                b'{"conversations": [{"from": "human", "value": "a"}]}\n',
                b'{"custom_id": "a", "body": {"input": ["a", "", 3]}}\n',
                b'{"custom_id": "a", "body": {"input": []}}\n',
                b'{"request": {"messages": 3}, "response": 7}\n',
                b'{"messages": [{"role": "user", "content": "a"}], "response": ["x"]}\n',
                b'{"messages": [{"role": "user", "content": [1]}], "system": 3}\n',
                b'{"text": "' + b"x" * 100_000 + b'"}\n',
                b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"\n",
            ]
        ),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(UGLY, UGLY, st.integers(0, 400))
def test_every_ugly_line_is_judged_or_has_its_reason(
    tmp_path_factory: pytest.TempPathFactory, first: list[bytes], second: list[bytes], cut_off: int
) -> None:
    folder = tmp_path_factory.mktemp("ugly")
    plain, packed = folder / "a.jsonl", folder / "b.jsonl.gz"
    written = b"".join(first).removesuffix(b"\n")
    plain.write_bytes(written)
    data = gzip.compress(b"".join(second))
    packed.write_bytes(data[: max(len(data) - cut_off, 0)] if cut_off % 2 else data)
    screen([plain, packed], folder / "out")
    entries = [*rows(folder / "out"), *rejects(folder / "out")]
    num_lines = written.count(b"\n") + (written[-1:] not in (b"", b"\n"))
    assert lines_of(entries, "a.jsonl") == set(range(1, num_lines + 1))
    seen = lines_of(entries, "b.jsonl.gz")
    assert seen == set(range(1, len(seen) + 1))
    if not cut_off % 2:
        assert len(seen) == len(second)
    assert all(entry["reason"] for entry in rejects(folder / "out"))


def test_of_a_folder_of_everything_ugly_each_line_is_judged_or_has_its_reason(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    packed = gzip.compress(b"".join(map(line, range(1000))))
    prompts = {"prompt": ["a", None, "c"], "response": ["A", "B", None]}
    pq.write_table(pa.table(prompts), folder / "d.parquet")
    files = {
        "a.jsonl": line(1).replace(b"\n", b"\r\n") + line(1) + b'{"text": "\xff"}\n',
        "b.jsonl.gz": packed[: len(packed) // 2],
        "c.csv": b"prompt,answer\na,b\nalone\n",
        "e.jsonl": b"",
        "f.jsonl": b'{"text": "' + b"x" * 10_000_000 + b'"}\n' + line(2) + b'{"text": "mixed"}\n',
        "g.csv": b"nothing,of,ours\n1,2,3\n",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    screen([folder], tmp_path / "out")
    entries = [*rows(tmp_path / "out"), *rejects(tmp_path / "out")]
    seen = {name: lines_of(entries, name) for name in (*files, "d.parquet")}
    of_packed = seen.pop("b.jsonl.gz")
    assert of_packed == set(range(1, len(of_packed) + 1))
    assert len(of_packed) > 400
    assert seen == {
        "a.jsonl": {1, 2, 3},
        "c.csv": {2, 3},
        "d.parquet": {1, 2, 3},
        "e.jsonl": set(),
        "f.jsonl": {1, 2, 3},
        "g.csv": {2},
    }
    assert sorted(each["reason"] for each in rejects(tmp_path / "out")) == [
        "not UTF-8",
        "of no known shape",
        "the file cannot be read from here on (OSError)",
        "the response is blank",
        "the user message is blank",
    ]
