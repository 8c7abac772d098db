"""`guard screen` in processes of its own, with a real engine here and behind a server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from screened import screen
from scripted_judge import JUDGED, ScriptedJudge
from serving import serving
from typer.testing import CliRunner

from guard_service import screen_command
from guard_service.cli import commands
from guard_service.errors import ScreeningRefused, StartupRefused
from guard_service.screening.asker import SLICE_ITEMS
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.run import Bench
from guard_service.screening.subject import Item
from guard_service.stop import _end_at_once

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


class Interrupted(ScriptedJudge):
    """Somebody presses Ctrl-C once two slices are judged, and it is noticed before the third is."""

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        if len(self.asked) >= 2 * SLICE_ITEMS:
            if signal.getsignal(signal.SIGINT) is not _end_at_once:
                os.kill(os.getpid(), signal.SIGINT)
            while signal.getsignal(signal.SIGINT) is not _end_at_once:
                await asyncio.sleep(0)
        return await super().judge(items)


@pytest.fixture
def _same_signals_after() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_same_signals_after")
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Interrupted(), ScriptedJudge()
    judges = iter((first, second))

    @asynccontextmanager
    async def scripted(*_: object) -> AsyncIterator[Bench]:
        yield Bench(next(judges), JUDGED, 0.5, 0.5, (None,) * len(JUDGED.codes))

    monkeypatch.setattr(screen_command, "judging_here", scripted)
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    log.write_text("".join(json.dumps({"text": f"question {n}"}) + "\n" for n in range(1000)))
    stopped = CliRunner().invoke(commands, ["screen", str(log), str(out)])
    assert stopped.exit_code == 130
    assert "nothing is lost" in stopped.stderr
    assert len(first.asked) < 1000
    assert CliRunner().invoke(commands, ["screen", str(log), str(out)]).exit_code == 0
    asked = first.asked + second.asked
    assert len(asked) == len(set(asked)) == 1000  # none was lost, none asked again
    assert [row["line"] for row in rows(out)] == list(range(1, 1001))


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


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--review", "policy", "--server", "localhost:1"], "feeds its queue already"),
        (["--review", "policy", "--ray", "local"], "feeds no queue"),
        (["--server", "localhost:1", "--ray", "local"], "one of them judges"),
        (["--review", "some"], "policy, or a share"),
        (["--database-url", "sqlite://"], "which --review feeds"),
        (["--tenant", "acme"], "which --review feeds"),
    ],
)
def test_a_review_that_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, flags: list[str], problem: str
) -> None:
    command = ["screen", str(EXAMPLE), str(tmp_path / "out"), *flags]
    with pytest.raises(ScreeningRefused, match=problem):
        CliRunner().invoke(commands, command, catch_exceptions=False)
    assert os.listdir(tmp_path) == []


def test_a_cluster_without_the_extra_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "guard_service.screening.cluster", raising=False)
    command = ["screen", str(EXAMPLE), str(tmp_path / "out"), "--ray", "local"]
    with pytest.raises(StartupRefused, match=r"pip install 'guard-service\[ray\]'"):
        CliRunner().invoke(commands, command, catch_exceptions=False)
    assert os.listdir(tmp_path) == []


def test_another_review_rule_does_not_take_an_output_up(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "out"
    log.write_text('{"text": "question"}\n')
    screen([log], out)
    manifest = out / "_screening" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"review":""', '"review":"policy"'))
    with pytest.raises(ScreeningRefused, match="another review"):
        screen([log], out)
