"""`guard screen` in processes of its own, with a real engine here and behind a server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from serving import serving

EXAMPLE = Path(__file__).parent.parent / "docs/examples/chatlog.jsonl"


def guard(*arguments: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "guard_service", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)


def rows(folder: Path) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = pq.read_table(folder).to_pylist()
    return table


def nearly(row: dict[str, Any]) -> dict[str, Any]:
    """Scores depend a little on who shares the pass."""
    scores = {code: round(score, 4) for code, score in row["scores"].items()}
    close = {name: round(row[name], 4) for name in ("unsafe_score", "label_mass")}
    return row | close | {"scores": scores}


def test_rows_are_the_same_whether_judged_here_or_by_a_server(tmp_path: Path) -> None:
    here = guard("screen", EXAMPLE, "here.parquet", folder=tmp_path)
    assert here.returncode == 0, here.stderr
    assert "OpenAI chat completions (30), not JSON objects (1)" in here.stderr
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server") as served:
        there = guard(
            "screen", EXAMPLE, "there.parquet", "--server", served.target, folder=tmp_path
        )
    assert there.returncode == 0, there.stderr
    local, remote = rows(tmp_path / "here.parquet"), rows(tmp_path / "there.parquet")
    assert list(map(nearly, local)) == list(map(nearly, remote))
    rejects = [tmp_path / f"{name}.parquet/_screening/rejects.jsonl" for name in ("here", "there")]
    assert rejects[0].read_bytes() == rejects[1].read_bytes()
    lines = {row["line"] for row in local}
    lines |= {json.loads(line)["line"] for line in rejects[0].read_text().splitlines()}
    assert lines == set(range(1, len(EXAMPLE.read_bytes().splitlines()) + 1))
    summary = json.loads((tmp_path / "here.parquet/_screening/summary.json").read_text())
    assert summary["total"]["num_rows"] == len(local)
    assert (tmp_path / "there.parquet/_screening/report.html").is_file()


def test_what_is_refused_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    for arguments, problem in (
        (["none.jsonl", "out"], "none.jsonl: "),
        ([EXAMPLE, "out", "--mapping", "none.toml"], "none.toml: "),
        ([EXAMPLE, "full"], "holds files of something else"),
    ):
        refused = guard("screen", *arguments, folder=tmp_path)
        assert refused.returncode == 1
        last = refused.stderr.strip().splitlines()[-1]
        assert last.startswith("guard: ")
        assert problem in last
    assert os.listdir(tmp_path) == ["full"]
