import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guard_service.access.book import read_book
from guard_service.access.command import keys_commands
from guard_service.access.principal import Principal
from guard_service.batching.entry import Lane
from guard_service.errors import SettingsInvalid
from guard_service.review.account import Role

NAMED = ["new", "--name", "chat", "--tenant", "acme"]


def run(*arguments: str) -> tuple[str, str]:
    """The key, and the entry for the file."""
    result = CliRunner().invoke(keys_commands, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stderr.split()[-1], result.stdout


def test_a_new_key_is_printed_once_and_its_entry_does_not_hold_it(tmp_path: Path) -> None:
    key, entry = run(*NAMED)
    assert key.rpartition("_")[2] not in entry
    (tmp_path / "access.toml").write_text(entry + run(*NAMED)[1])  # entries can be put together
    assert read_book(tmp_path / "access.toml").find_key(key) == Principal("acme", "chat")


def test_its_limits_are_in_the_entry(tmp_path: Path) -> None:
    more = ["--policy", "kids", "--policy", "a", "--lane", "bulk", "--days", "30"]
    key, entry = run(*NAMED, *more, "--role", "lead", "--role", "auditor", "--cleared")
    (tmp_path / "access.toml").write_text(entry)
    principal = read_book(tmp_path / "access.toml").find_key(key)
    assert (principal.policies, principal.lanes) == ({"a", "kids"}, {Lane.BULK})
    assert (principal.roles, principal.is_cleared) == ({Role.LEAD, Role.AUDITOR}, True)
    (parsed,) = tomllib.loads(entry)["keys"]
    left = parsed["expires"] - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_a_name_that_no_file_would_take_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="tenant"):
        run("new", "--name", "chat", "--tenant", "a b")
