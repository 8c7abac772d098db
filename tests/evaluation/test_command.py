"""`guard eval` on saved readings, for which no model is started; tests/test_cli.py starts one."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from guard_service.cli import commands
from guard_service.conversation import Conversation, Message, Role
from guard_service.errors import InvalidRequest, SettingsInvalid
from guard_service.evaluation.evaluation import Judgement
from guard_service.evaluation.readings import Readings, save_readings

SECRET = "a text that must not be shown"
RNG = np.random.default_rng(4)
TRUTHS = RNG.random(200) < 0.4
GOOD = np.clip(TRUTHS * 0.6 + 0.2 + RNG.normal(0, 0.1, 200), 0, 1)
BAD = np.clip(TRUTHS * 0.6 + 0.2 + RNG.normal(0, 0.7, 200), 0, 1)


def text(number: int) -> str:
    return f"{SECRET} {number}"


def readings(path: Path, scores: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    judgements = {
        Conversation((Message(Role.USER, text(number)),)).digest(): Judgement(
            float(score), bool(score >= 0.5), ("S1",) if score >= 0.5 else (), {"S1": float(score)}
        )
        for number, score in enumerate(scores)
    }
    save_readings(path, Readings(path.stem, "default 1", judgements))
    return str(path)


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    written = [
        {"text": text(number), "role": "user", "unsafe": bool(truth), "lang": "en"}
        for number, truth in enumerate(TRUTHS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in written) + "{broken\n")
    return str(path)


@pytest.fixture
def good(tmp_path: Path) -> str:
    return readings(tmp_path / "good.parquet", GOOD)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return readings(tmp_path / "bad.jsonl", BAD)


def evaluate(*arguments: str) -> Result:
    result = CliRunner().invoke(commands, ["eval", "--resamples", "100", *arguments])
    assert SECRET not in result.output
    return result


def test_saved_readings_are_measured_without_a_model(rows: str, good: str) -> None:
    done = evaluate(rows, "--readings", good)
    assert done.exit_code == 0
    assert "good, policy default 1" in done.output
    assert "language en" in done.output
    assert "1 not evaluated not JSON in UTF-8: line 201" in done.output


def test_a_planted_regression_fails_a_bound_and_the_comparison(
    rows: str, good: str, bad: str
) -> None:
    bound = ("--fail-under", "f1=0.9")
    assert evaluate(rows, "--readings", good, *bound).exit_code == 0
    failed = evaluate(rows, "--readings", bad, *bound)
    assert failed.exit_code == 4
    assert "not kept all.f1 >= 0.9" in failed.output
    compared = ("--against", good, "--fail-if-worse")
    assert evaluate(rows, "--readings", bad, *compared).exit_code == 4
    assert evaluate(rows, "--readings", bad, "--against", good).exit_code == 0
    assert evaluate(rows, "--readings", good, "--against", bad, "--fail-if-worse").exit_code == 0


def test_rows_that_were_not_evaluated_can_fail_a_build(rows: str, good: str) -> None:
    failed = evaluate(rows, "--readings", good, "--fail-over", "rejected=0")
    assert failed.exit_code == 4
    assert "it is 1" in failed.output


def test_the_report_holds_everything_and_no_text(
    rows: str, good: str, bad: str, tmp_path: Path
) -> None:
    told = ("--against", bad, "--expect", "llama-guard-3-8b", "--out", str(tmp_path / "out"))
    evaluate(rows, "--readings", good, *told)
    page = (tmp_path / "out" / "report.html").read_text()
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert page.count("<svg") == 3
    assert "http://www.w3.org/2000/svg" in page and "src=" not in page
    for shown in ("McNemar", "Against what was published", "Other thresholds", "line 201"):
        assert shown in page
    assert metrics["comparison"]["num_rows"] == 200
    assert metrics["files"]["rows.jsonl"]["rejected"][0]["line"] == 201
    low, high = metrics["whole"]["rows"][0]["intervals"]["auprc"]
    assert low <= metrics["whole"]["rows"][0]["auprc"] <= high
    assert SECRET not in page + json.dumps(metrics)


def test_files_of_one_name_are_kept_apart(rows: str, good: str, tmp_path: Path) -> None:
    other = tmp_path / "other" / "rows.jsonl"
    other.parent.mkdir()
    other.write_text(Path(rows).read_text())
    printed = json.loads(evaluate(rows, str(other), "--readings", good, "--json").output)
    assert set(printed) == {rows, str(other)}


def test_readings_of_other_rows_end_it_with_the_reason(rows: str, tmp_path: Path) -> None:
    other = readings(tmp_path / "few.jsonl", GOOD[:0])
    Path(other).write_text(Path(readings(tmp_path / "a.jsonl", GOOD[:1])).read_text())
    assert evaluate(rows, "--readings", other).exit_code == 0
    Path(rows).write_text(json.dumps({"text": "unknown", "role": "user", "unsafe": True}))
    failed = evaluate(rows, "--readings", other)
    assert isinstance(failed.exception, InvalidRequest)
    assert str(failed.exception) == "rows.jsonl: line 1: has no saved reading"


def test_worse_than_nothing_is_refused(rows: str, good: str) -> None:
    failed = evaluate(rows, "--readings", good, "--fail-if-worse")
    assert isinstance(failed.exception, SettingsInvalid)
