"""Versions of a policy go into force and back, whole, and none is lost."""

import getpass
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guard_service import promotion
from guard_service.cli import commands
from guard_service.errors import InvalidRequest, PolicyInvalid, StoreUnavailable
from guard_service.policy import read_policies, read_policy
from guard_service.promotion import promote, read_journal, roll_back


def text(version: str, threshold: float = 0.5, policy_id: str = "chat") -> str:
    head = f'id = "{policy_id}"\nversion = "{version}"\nthreshold = {threshold}\n'
    return head + "# of the trust team\n[categories.S1]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "ours.toml").write_text(text("1"))
    (folder / "other.toml").write_text(text("7", policy_id="kids"))
    return folder


def candidate(tmp_path: Path, version: str, threshold: float = 0.5) -> Path:
    path = tmp_path / f"next-{version}.toml"
    path.write_text(text(version, threshold))
    return path


def in_force(folder: Path) -> str:
    return read_policies(folder)["chat"].version


def test_a_promoted_version_is_in_force_and_the_old_one_is_kept(
    folder: Path, tmp_path: Path
) -> None:
    change = promote(folder, candidate(tmp_path, "2", 0.6), "ann")
    assert (change.before, change.after) == ("1", "2")
    assert (folder / "ours.toml").read_text() == text("2", 0.6)
    assert (folder / "history" / "chat@1.toml").read_text() == text("1")
    assert read_policies(folder)["kids"].version == "7"
    assert list(read_journal(folder)) == [change]


def test_roll_backs_go_down_the_stack_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    for version in ("2", "3"):
        promote(folder, candidate(tmp_path, version), "ann")
    assert roll_back(folder, "chat", "bob").after == "2"
    assert roll_back(folder, "chat", "bob").after == "1"
    assert (folder / "ours.toml").read_text() == text("1")
    with pytest.raises(InvalidRequest, match="no such earlier version"):
        roll_back(folder, "chat", "bob")
    promote(folder, candidate(tmp_path, "3"), "ann")
    assert roll_back(folder, "chat", "bob").after == "1"


def test_a_named_version_can_be_put_in_force_again(folder: Path, tmp_path: Path) -> None:
    for version in ("2", "3", "4"):
        promote(folder, candidate(tmp_path, version), "ann")
    roll_back(folder, "chat", "bob", to="2")
    assert in_force(folder) == "2"
    assert roll_back(folder, "chat", "bob").after == "1"


def test_a_version_is_never_reused_for_another_policy(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="1 is in force"):
        promote(folder, candidate(tmp_path, "1", 0.9), "ann")
    promote(folder, candidate(tmp_path, "2"), "ann")
    promote(folder, candidate(tmp_path, "3"), "ann")
    with pytest.raises(InvalidRequest, match="2 was another policy"):
        promote(folder, candidate(tmp_path, "2", 0.9), "ann")
    assert in_force(folder) == "3"


def test_a_broken_policy_changes_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('id = "chat"\n')
    with pytest.raises(PolicyInvalid):
        promote(folder, tmp_path / "bad.toml", "ann")
    assert in_force(folder) == "1"


def test_a_crash_while_the_file_is_written_leaves_the_old_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: Path, target: Path) -> Path:
        if target.name == "ours.toml":
            raise OSError("power")
        os.replace(self, target)
        return target

    monkeypatch.setattr(promotion.Path, "replace", crash)
    with pytest.raises(OSError, match="power"):
        promote(folder, candidate(tmp_path, "2"), "ann")
    assert in_force(folder) == "1"
    monkeypatch.undo()
    assert promote(folder, candidate(tmp_path, "2"), "ann").before == "1"
    assert roll_back(folder, "chat", "ann").after == "1"


def test_an_id_of_dots_stays_in_its_folder(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "dots.toml"
    path.write_text(text("..", policy_id=".."))
    promote(folder, path, "ann")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dots.toml", "policies"]


def guard(folder: Path, *arguments: object) -> str:
    asked = ["policy", *map(str, arguments), "--policies", str(folder)]
    return CliRunner().invoke(commands, asked, catch_exceptions=False).output


def test_the_commands_exchange_and_tell_and_the_audit_log_has_it(
    folder: Path, tmp_path: Path
) -> None:
    at = ["--database-url", f"sqlite:///{tmp_path / 'guard.db'}"]
    assert "chat promoted 1 -> 2" in guard(folder, "promote", candidate(tmp_path, "2"), *at)
    assert "chat rolled_back 2 -> 1" in guard(folder, "rollback", "chat", *at)
    with pytest.raises(InvalidRequest):
        guard(folder, "rollback", "chat", *at)
    assert guard(folder, "history").count(f" {getpass.getuser()}: chat") == 2
    CliRunner().invoke(commands, ["audit", "head", *at])  # which links them
    log = CliRunner().invoke(commands, ["audit", "list", *at]).stdout
    entries = [json.loads(line) for line in log.splitlines()]
    assert [(each["act"], each["actor"]) for each in entries] == [
        ("promoted", getpass.getuser()),
        ("rolled_back", getpass.getuser()),
    ]
    told = json.loads(entries[0]["details"])
    assert (told["policy"], told["before"], told["after"]) == ("chat", "1", "2")
    assert told["digest"] == read_policy(candidate(tmp_path, "2")).digest


def test_nothing_is_exchanged_that_the_audit_log_cannot_have(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        away = f"sqlite:///{tmp_path / 'nowhere' / 'guard.db'}"
        guard(folder, "promote", candidate(tmp_path, "2"), "--database-url", away)
    assert in_force(folder) == "1"
