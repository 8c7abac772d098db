"""Rescreening through its command: the figures, the flips, and an output like a screening's own."""

import json
from pathlib import Path
from typing import Any

import pytest
from screened import screen
from typer.testing import CliRunner

from guard_service.cli import commands
from guard_service.errors import ScreeningRefused

CODES = [f"S{number}" for number in range(1, 15)]


def write_log(path: Path) -> Path:
    lines = [{"messages": [{"role": "user", "content": f"question {n}"}]} for n in range(300)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_policy(path: Path, threshold: float, codes: list[str] = CODES) -> Path:
    rules = "".join(f"[categories.{code}]\n" for code in codes)
    path.write_text(f'id = "other"\nversion = "9"\nthreshold = {threshold}\n{rules}')
    return path


def rows(out: Path) -> list[dict[str, Any]]:
    parts = sorted(out.glob("part-*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_bytes().splitlines()]


def rescreen(*args: object) -> str:
    result = CliRunner().invoke(commands, ["rescreen", *map(str, args)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_flips_are_the_rows_between_the_thresholds(tmp_path: Path, kind: str) -> None:
    out, flips = tmp_path / "out", tmp_path / "flips.jsonl"
    screen([write_log(tmp_path / "log.jsonl")], out, format=kind)
    policy = write_policy(tmp_path / "other.toml", 0.75)
    told = rescreen(out, "--policy", policy, "--flips", flips)
    found = [json.loads(line) for line in flips.read_bytes().splitlines()]
    assert found and f"block -> allow: {len(found)}" in told
    assert all(0.5 <= row["unsafe_score"] < 0.75 for row in found)
    assert {(row["before"], row["after"]) for row in found} == {("block", "allow")}


def test_what_is_written_anew_can_be_rescreened_and_changes_nothing_more(tmp_path: Path) -> None:
    out, to = tmp_path / "out", tmp_path / "new"
    screen([write_log(tmp_path / "log.jsonl")], out)
    policy = write_policy(tmp_path / "other.toml", 0.75)
    rescreen(out, "--policy", policy, "--to", to)
    assert "block -> allow: 0" in rescreen(to, "--policy", policy)
    for before, after in zip(rows(out), rows(to), strict=True):
        assert after["action"] == ("block" if before["unsafe_score"] >= 0.75 else "allow")
        assert after["categories"] == (before["listed"] if after["unsafe"] else [])
        assert after["policy"] == "other"
        for name in ("file", "line", "digest", "time", "unsafe_score", "scores", "listed"):
            assert after[name] == before[name]


def test_a_refused_policy_leaves_no_folder_behind(tmp_path: Path) -> None:
    out, to = tmp_path / "out", tmp_path / "new"
    screen([write_log(tmp_path / "log.jsonl")], out)
    policy = write_policy(tmp_path / "other.toml", 0.75, [*CODES[:3]])
    with pytest.raises(ScreeningRefused, match="asked for S10"):
        rescreen(out, "--policy", policy, "--to", to)
    assert not to.exists()
