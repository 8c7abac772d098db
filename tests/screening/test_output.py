"""The folder: what counts is whole, in order and once; what does not count is written over."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from screened import READER, TERMS
from scripted_judge import judgement

from guard_service.errors import ScreeningRefused
from guard_service.screening.chunk import Chunk, RawChunk, Span
from guard_service.screening.finished import finish
from guard_service.screening.output import Output, format_of
from guard_service.screening.source import Line


def chunk(number: int, text: str = "question") -> Chunk:
    lines = (Line(1, orjson.dumps({"text": f"{text} {number}"})), Line(2, b"{broken"))
    return READER.read_chunk(RawChunk(number, (Span(f"{number}.jsonl", lines),), 0))


def publish(output: Output, *numbers: int) -> None:
    for number in numbers:
        each = chunk(number)
        answers = {item.digest: judgement(item) for item in each.items}
        output.publish(finish(each, answers, TERMS))


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_chunk_is_a_part_rejects_and_a_line_of_the_manifest(tmp_path: Path) -> None:
    with Output(tmp_path / "out", TERMS) as output:
        publish(output, 0, 1)
    written = files(tmp_path / "out")
    assert sorted(written) == [
        "_screening/manifest.jsonl",
        "_screening/rejects.jsonl",
        "part-000000.jsonl",
        "part-000001.jsonl",
    ]
    row = orjson.loads(written["part-000001.jsonl"])
    assert (row["file"], row["line"]) == ("1.jsonl", 1)
    rejects = [orjson.loads(line) for line in written["_screening/rejects.jsonl"].splitlines()]
    assert [(each["file"], each["line"], each["reason"]) for each in rejects] == [
        ("0.jsonl", 2, "not JSON"),
        ("1.jsonl", 2, "not JSON"),
    ]
    done = [orjson.loads(line) for line in written["_screening/manifest.jsonl"].splitlines()[1:]]
    assert [(each["num_lines"], each["num_rows"], each["num_gaps"]) for each in done] == [
        (2, 1, 1)
    ] * 2


@pytest.mark.parametrize("lost", ["line", "half a line"])
def test_what_a_kill_left_without_its_line_is_written_again(tmp_path: Path, lost: str) -> None:
    with Output(tmp_path / "out", TERMS) as output:
        publish(output, 0, 1, 2)
    whole = files(tmp_path / "out")
    manifest = tmp_path / "out/_screening/manifest.jsonl"
    lines = whole["_screening/manifest.jsonl"].splitlines(True)
    manifest.write_bytes(b"".join(lines[:-1]) + (lines[-1][:9] if lost == "half a line" else b""))
    (tmp_path / "out/.part-000002.jsonl").write_bytes(b"half of a pa")
    with Output(tmp_path / "out", TERMS) as output:
        assert len(output.published.done) == 2
        publish(output, 2)
    assert files(tmp_path / "out") == whole


def test_a_chunk_that_was_published_must_still_be_the_same(tmp_path: Path) -> None:
    with Output(tmp_path / "out", TERMS) as output:
        publish(output, 0, 1)
    with Output(tmp_path / "out", TERMS) as output:
        published = output.published
        assert published.has(chunk(1).raw)
        assert not published.has(chunk(2).raw)
        with pytest.raises(ScreeningRefused, match="differs between"):
            published.has(chunk(1, "another question").raw)
        published.check_whole(2)
        with pytest.raises(ScreeningRefused, match="has become shorter"):
            published.check_whole(1)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "part-000000.jsonl").write_text("mine")
    with pytest.raises(ScreeningRefused, match="holds files of something else"):
        Output(tmp_path, TERMS, rerun=True)
    assert files(tmp_path) == {"part-000000.jsonl": b"mine"}


def test_beginning_anew_takes_other_terms_and_leaves_nothing_of_before(tmp_path: Path) -> None:
    with Output(tmp_path / "out", TERMS) as output:
        publish(output, 0, 1)
    other = replace(TERMS, policy_version="2")
    with pytest.raises(ScreeningRefused, match="policy_version"):
        Output(tmp_path / "out", other)
    with Output(tmp_path / "out", other, rerun=True) as output:
        assert output.published.done == ()
    assert sorted(files(tmp_path / "out")) == [
        "_screening/manifest.jsonl",
        "_screening/rejects.jsonl",
    ]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jsonl", "jsonl"), ("a.parquet", "parquet"), ("a", "parquet")]
)
def test_the_name_of_the_folder_tells_the_format(name: str, kind: str) -> None:
    assert format_of(Path(name)) == kind
