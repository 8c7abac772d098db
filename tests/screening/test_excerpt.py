"""Texts are found where they were, and only while they are what was judged."""

import json
from pathlib import Path

from screened import READER, screen

from guard_service.screening.excerpt import Excerpt, find_excerpts
from guard_service.screening.summary import summarize


def write_log(path: Path, num_lines: int = 300) -> Path:
    user = {"role": "user"}
    lines = [
        {"messages": [{"role": "system", "content": "be kind"}, user | {"content": f"q {n}"}]}
        for n in range(num_lines)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def excerpts(out: Path, inputs: list[Path]) -> tuple[dict[str, Excerpt], set[str]]:
    examples = summarize(out, 1, 3).examples
    names = [str(each) for each in inputs]
    return find_excerpts(examples, names, READER), {each.digest for each in examples}


def test_each_example_has_the_text_of_its_line(tmp_path: Path) -> None:
    logs = [write_log(tmp_path / name) for name in ("a.jsonl", "b.jsonl")]
    screen(logs, tmp_path / "out")
    found, wanted = excerpts(tmp_path / "out", logs)
    assert set(found) == wanted
    for example in summarize(tmp_path / "out", 1, 3).examples:
        *_, judged = found[example.digest].said
        assert (judged.role, judged.text) == ("user", f"q {example.line - 1}")


def test_a_changed_line_or_a_lost_file_gives_no_text(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl")
    screen([log], tmp_path / "out")
    log.write_text(log.read_text().replace("q ", "Q "))
    assert excerpts(tmp_path / "out", [log])[0] == {}
    log.unlink()
    assert excerpts(tmp_path / "out", [log])[0] == {}


def test_a_long_text_says_how_much_of_it_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    turns = [{"role": "user", "content": f"{n} " + "x" * 5000} for n in range(5)]
    log.write_text(json.dumps({"messages": turns}) + "\n")
    screen([log], tmp_path / "out")
    (found,) = excerpts(tmp_path / "out", [log])[0].values()
    assert found.num_earlier == 2
    assert all(len(said.text) + said.num_left_out == 5002 for said in found.said)
    assert "xx" not in repr(found)
