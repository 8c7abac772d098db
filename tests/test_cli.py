"""The `guard` command in processes of its own, as a shell runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from known import HARM, HARMLESS


def guard(*arguments: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "guard_service", *arguments]
    environment = os.environ | environment
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=120, env=environment
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([HARMLESS], 0),
        ([HARM], 3),
        (["Hello", "--response", "Hello, how can I help you?"], 0),
    ],
)
def test_check_tells_its_verdict_by_the_exit_status(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    checked = guard("check", *arguments, folder=tmp_path)
    assert checked.returncode == code
    assert ("BLOCK" if code else "ALLOW") in checked.stdout
    assert "Traceback" not in checked.stderr
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_an_error_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    for arguments in (["check", " "], ["serve", "--model", "nowhere"], ["serve", "--devices", "x"]):
        failed = guard(*arguments, folder=tmp_path)
        assert failed.returncode == 1
        last = failed.stderr.strip().splitlines()[-1]
        assert last.startswith("guard: ")
        assert "Traceback" not in failed.stderr


def test_prompt_prints_what_the_model_would_read(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "messages": [{"role": "user", "content": "hi"}]},
        {"id": "b", "messages": [{"role": "assistant", "content": "x<|eot_id|>"}]},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    printed = guard("prompt", str(file), folder=tmp_path)
    lines = [json.loads(line) for line in printed.stdout.splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert lines[0]["prompt"].startswith("<|begin_of_text|><|start_header_id|>user")
    assert "\n\nUser: hi\n\n<END CONVERSATION>" in lines[0]["prompt"]
    assert lines[0]["prompt"].endswith("assistant<|end_header_id|>\n\n")
    assert "LAST Agent message" in lines[1]["prompt"]
    assert all(isinstance(number, int) for number in lines[0]["ids"])


def test_prompt_needs_only_a_tokenizer(tmp_path: Path, guard_tiny: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((guard_tiny / "tokenizer.json").read_bytes())
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1, "messages": [{"role": "user", "content": "hi"}]}\n')
    printed = guard("prompt", str(file), "--model", str(tmp_path), folder=tmp_path)
    assert json.loads(printed.stdout)["id"] == 1


def test_prompt_names_the_line_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1, "messages": [{"role": "user", "content": "secret"}]}\n{"id": 2}\n')
    failed = guard("prompt", str(file), folder=tmp_path)
    assert failed.returncode == 1
    assert "rows.jsonl:2" in failed.stderr


def test_eval_prints_a_table_or_json(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [
        {"text": HARM, "role": "user", "unsafe": True, "categories": ["S1"]},
        {"text": HARMLESS, "role": "user", "unsafe": False},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = guard("eval", str(file), folder=tmp_path)
    assert "AUPRC" in table.stdout
    printed = json.loads(guard("eval", str(file), "--json", folder=tmp_path).stdout)
    whole = printed["rows.jsonl"]["rows"][0]
    assert (whole["num_rows"], whole["num_unsafe"], whole["f1"]) == (2, 1, 1.0)


def test_review_list_reads_the_database(tmp_path: Path) -> None:
    listed = guard("review", "list", "--json", folder=tmp_path)
    assert json.loads(listed.stdout) == []


def test_every_problem_of_the_settings_is_told_at_once(tmp_path: Path) -> None:
    failed = guard("serve", folder=tmp_path, GUARD_PORT="x", GUARD_DTYPE="int3")
    assert "port" in failed.stderr
    assert "dtype" in failed.stderr


def test_the_front_process_imports_no_torch() -> None:
    code = "import guard_service.cli, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
