"""Where input is cut, what makes a chunk another one, and why a line has nothing to judge."""

from pathlib import Path

import pytest

from guard_service.screening import chunk
from guard_service.screening.chunk import LineReader, RawChunk, Span, cut
from guard_service.screening.source import Line, find_sources
from guard_service.screening.subject import Gap, Item, Subject

READER = LineReader(frozenset({Subject.LAST_USER}))


def write(path: Path, num_lines: int) -> str:
    path.write_bytes(b"".join(b'{"text": "%d"}\n' % number for number in range(num_lines)))
    return str(path)


def places(raw: RawChunk) -> list[tuple[str, int]]:
    return [(Path(span.file).name, line.number) for span in raw.spans for line in span.lines]


def raw_chunk(*lines: Line, file: str = "a") -> RawChunk:
    return RawChunk(0, (Span(file, lines),), 0)


def read(data: bytes, problem: str = "") -> list[Item | Gap]:
    return list(READER.read_chunk(raw_chunk(Line(7, data, problem))).entries)


def test_a_chunk_may_begin_in_one_file_and_end_in_another(tmp_path: Path) -> None:
    names = [write(tmp_path / "a", 6), write(tmp_path / "b", 0), write(tmp_path / "c", 3)]
    raws = list(cut(find_sources(names), max_lines=4))
    assert [raw.number for raw in raws] == [0, 1, 2]
    assert list(map(places, raws)) == [
        [("a", 1), ("a", 2), ("a", 3), ("a", 4)],
        [("a", 5), ("a", 6), ("c", 1), ("c", 2)],
        [("c", 3)],
    ]
    assert [raw.num_lines for raw in raws] == [4, 4, 1]
    assert raws[-1].num_bytes == sum(Path(name).stat().st_size for name in names)


def test_long_lines_make_chunks_of_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "_MAX_BYTES", 2 * len(b'{"text": "0"}\n'))
    raws = list(cut(find_sources([write(tmp_path / "a", 5)])))
    assert [raw.num_lines for raw in raws] == [2, 2, 1]


def test_no_lines_are_no_chunk(tmp_path: Path) -> None:
    assert list(cut(find_sources([write(tmp_path / "a", 0)]))) == []


def test_a_digest_tells_lines_their_files_their_numbers_and_their_problems_apart() -> None:
    chunks = [
        raw_chunk(Line(1, b"ab"), Line(2, b"c")),
        raw_chunk(Line(1, b"a"), Line(2, b"bc")),
        raw_chunk(Line(1, b"ab"), Line(2, b"c"), file="b"),
        raw_chunk(Line(2, b"ab"), Line(3, b"c")),
        raw_chunk(Line(1, b"ab"), Line(2, b"", "too long")),
        raw_chunk(Line(1, b"abc")),
    ]
    assert len({each.digest() for each in chunks}) == len(chunks)
    assert chunks[0].digest() == raw_chunk(Line(1, b"ab"), Line(2, b"c")).digest()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\n", "blank"),
        (b'{"text": "\xff"}', "not UTF-8"),
        (b"{broken", "not JSON"),
        (b'["text"]', "not a JSON object"),
        (b'{"a": 1}', "of no known shape"),
        (b'{"conversations": [], "id": 1}', "no user message"),
        (
            b'{"system": "s", "messages": [{"role": "user"}]}',
            "not a line of the shape Anthropic messages",
        ),
        (b'{"custom_id": "a", "body": {"input": []}}', "nothing to judge"),
        (b'{"messages": [{"role": "user", "content": 3}]}', "messages[0].content: must be text"),
    ],
)
def test_a_line_without_anything_to_judge_is_a_gap_with_its_reason(
    data: bytes, reason: str
) -> None:
    (gap,) = read(data)
    assert isinstance(gap, Gap)
    assert (gap.place.file, gap.place.line) == ("a", 7)
    assert gap.reason.startswith(reason)


def test_the_problem_of_a_reader_is_the_reason() -> None:
    (gap,) = read(b"", "the file cannot be read from here on (EOFError)")
    assert isinstance(gap, Gap)
    assert gap.reason == "the file cannot be read from here on (EOFError)"


def test_several_texts_of_a_line_are_told_apart_by_their_choice() -> None:
    entries = read(b'{"custom_id": "a", "body": {"input": ["one", "", "three"]}}')
    assert [type(entry) for entry in entries] == [Item, Gap, Item]
    assert [entry.choice for entry in entries] == [0, 1, 2]
