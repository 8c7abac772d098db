"""The GPU run, on a CPU and a tiny shape: every stage that needs no other process."""

import json
import sys
import time
from pathlib import Path

import pytest
from benchmarks import gpu
from benchmarks.gpu import Outcome, Stage, markdown, run_stage
from benchmarks.session import Session
from benchmarks.stages import passes

from guard_service.prompt import Prefix, Prompt

IN_PROCESS = (
    *("machine", "checkpoint", "load", "correctness", "matmul", "sweep"),
    *("graphs", "kernels", "throughput"),
)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path, "tiny", "cpu", num_prompts=4, rounds=1)


def test_a_run_leaves_figures_of_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.stages.BUDGETS", (256,))
    monkeypatch.setattr("benchmarks.stages.WORKLOADS", ("W100",))
    flags = ("--shape", "tiny", "--device", "cpu", "--prompts", "2", "--rounds", "1")
    monkeypatch.setattr(
        sys, "argv", ["gpu", *flags, "--out", str(tmp_path), "--stages", *IN_PROCESS]
    )
    gpu.main()
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["failed"] == {}
    assert set(written["found"]) == set(IN_PROCESS)
    assert written["found"]["correctness"]["num_flips_outside_band"] == 0
    assert all(row["MFU"] > 0 for row in written["found"]["throughput"])
    assert "## sweep" in (tmp_path / "gpu.md").read_text()


def test_a_stage_that_fails_is_written_down_and_the_run_goes_on(session: Session) -> None:
    def breaks(_: Session) -> None:
        raise RuntimeError("no kernel image")

    def works(_: Session) -> dict[str, float]:
        return {"ms": 1.5}

    outcome = Outcome()
    for run in (breaks, works):
        run_stage(Stage(run, 5), session, outcome, ends=time.monotonic() + 9)
    assert outcome.failed == {"breaks": "RuntimeError: no kernel image"}
    assert outcome.found == {"works": {"ms": 1.5}}
    assert "no kernel image" in markdown(outcome)


def test_a_stage_is_stopped_at_its_limit(session: Session) -> None:
    outcome = Outcome()
    run_stage(Stage(lambda _: time.sleep(30), 1), session, outcome, ends=time.monotonic() + 9)
    assert list(outcome.failed.values()) == ["TimeoutError: took longer than 1 s"]


def test_when_the_whole_time_is_over_no_stage_starts(session: Session) -> None:
    outcome, ran = Outcome(), list[int]()
    run_stage(Stage(lambda _: ran.append(1), 5), session, outcome, ends=time.monotonic())
    assert list(outcome.failed.values()) == ["TimeoutError: no time was left for it"]
    assert ran == []


def test_passes_hold_their_budget_unless_one_prompt_alone_is_over_it() -> None:
    prefix = Prefix((1,), ("S1",))
    prompts = [Prompt(prefix, (0,) * n) for n in (40, 50, 20, 300, 10)]
    sizes = [[len(prompt.ids) for prompt in batch] for batch in passes(prompts, 100)]
    assert sizes == [[40, 50], [20], [300], [10]]
