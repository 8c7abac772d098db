"""The report through its command: what it tells, and what it keeps to itself."""

import hashlib
import json
from pathlib import Path

import pytest
from screened import screen
from typer.testing import CliRunner

from guard_service.cli import commands
from guard_service.errors import ScreeningRefused
from guard_service.screening.manifest import Terms
from guard_service.screening.part import read_manifest

SECRET = "nobody should read this"


def screened(tmp_path: Path) -> Path:
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    lines = [
        {"messages": [{"role": "user", "content": f"{SECRET} {n}"}], "user": "ada@example.org"}
        for n in range(200)
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines) + "{broken\n")
    screen([log], out)
    return out


def report(*arguments: object) -> str:
    command = ["screen-report", *map(str, arguments)]
    result = CliRunner().invoke(commands, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def written(out: Path) -> tuple[dict[str, object], str]:
    own = out / "_screening"
    return json.loads((own / "summary.json").read_text()), (own / "report.html").read_text()


def test_it_tells_figures_and_neither_texts_nor_users(tmp_path: Path) -> None:
    out = screened(tmp_path)
    told = report(out)
    summary, page = written(out)
    assert summary["total"]["num_rows"] == 200 and "200 messages" in told  # type: ignore[index]
    assert summary["num_gaps"] == 1 and "not JSON" in page
    hidden = hashlib.blake2b(b"ada@example.org", digest_size=6).hexdigest()
    for told in (json.dumps(summary), page):
        assert SECRET not in told and "ada@example.org" not in told and hidden in told


def test_texts_and_users_are_in_the_page_if_asked_for(tmp_path: Path) -> None:
    out = screened(tmp_path)
    _retold(out, judge=("last-user",))
    report(out, "--examples", 2, "--show-users", "--top", 1)
    summary, page = written(out)
    assert page.count(SECRET) == len(summary["examples"])  # type: ignore[arg-type]
    assert "ada@example.org" in page
    assert SECRET not in json.dumps(summary)
    report(out)
    assert SECRET not in written(out)[1]


def test_texts_are_looked_for_by_the_mapping_of_the_screening_alone(tmp_path: Path) -> None:
    out, mapping = screened(tmp_path), tmp_path / "m.toml"
    mapping.write_text('text = "said"')
    with pytest.raises(ScreeningRefused, match="not the one"):
        report(out, "--examples", 2, "--mapping", mapping)
    with pytest.raises(ScreeningRefused, match="not an output"):
        report(tmp_path)


def test_an_output_without_rows_has_a_report(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    log.touch()
    screen([log], out)
    report(out)
    assert "Nothing was judged" in written(out)[1]


def _retold(out: Path, **changes: object) -> Terms:
    """The screening of tests names no subjects in its terms."""
    path = out / "_screening" / "manifest.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps(json.loads(first) | changes) + "\n" + "".join(rest))
    return read_manifest(out)[0]
