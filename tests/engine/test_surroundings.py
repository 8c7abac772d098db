import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from guard_service.engine import surroundings
from guard_service.engine.finding import Level
from guard_service.engine.surroundings import (
    check_database,
    check_disk,
    check_port,
    check_sqlite,
)


def make_database(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    return f"sqlite:///{path}"


def test_a_database_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    url = make_database(tmp_path / "guard.db")
    before = (tmp_path / "guard.db").read_bytes()
    assert check_database(url).level is Level.OK
    assert (tmp_path / "guard.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["guard.db"]


def test_a_database_that_is_still_to_be_made_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = check_database("sqlite:///guard.db")
    assert (found.level, found.detail) == (Level.OK, "guard.db will be made")
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_a_folder_fails(tmp_path: Path) -> None:
    assert check_database(f"sqlite:///{tmp_path}/none/guard.db").level is Level.FAIL


def test_a_database_in_use_warns(tmp_path: Path) -> None:
    url = make_database(tmp_path / "guard.db")
    with closing(sqlite3.connect(tmp_path / "guard.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert check_database(url).level is Level.WARN


def test_a_file_that_is_no_database_fails(tmp_path: Path) -> None:
    (tmp_path / "guard.db").write_bytes(b"no database" * 1000)
    found = check_database(f"sqlite:///{tmp_path / 'guard.db'}")
    assert (found.level, "not a database" in found.detail) == (Level.FAIL, True)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_warns(url: str) -> None:
    assert check_database(url).level is Level.WARN


def test_a_database_server_is_called_and_its_password_never_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"postgresql+psycopg://me:secret@127.0.0.1:{port}/guard"
        answers = check_database(url)
    away = check_database(url)
    assert (answers.level, away.level) == (Level.OK, Level.FAIL)
    assert f"postgresql at 127.0.0.1:{port}" in away.detail
    assert "secret" not in f"{answers}{away}"


@pytest.mark.parametrize(
    ("url", "level"),
    [("postgresql://h:x/g", Level.FAIL), ("oracle://h/g", Level.WARN), ("guard.db", Level.WARN)],
)
def test_a_database_that_cannot_be_called_is_said_to_be_so(url: str, level: Level) -> None:
    assert check_database(url).level is level


@pytest.mark.parametrize(
    ("version", "is_noted"),
    [((3, 6, 23), False), ((3, 7, 0), True), ((3, 51, 2), True), ((3, 51, 3), False)],
)
def test_the_versions_of_sqlite_with_the_journal_fault_are_noted_as_harmless(
    version: tuple[int, ...], is_noted: bool
) -> None:
    found = check_sqlite(version)
    assert (found.level, "rollback journal" in found.detail) == (Level.OK, is_noted)


def test_a_port_is_free_until_someone_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = check_port("127.0.0.1", port)
    assert (taken.level, check_port("127.0.0.1", port).level) == (Level.FAIL, Level.OK)
    assert check_port("127.0.0.1", 0).level is Level.OK


def test_a_host_that_is_not_this_machine_fails() -> None:
    assert check_port("192.0.2.1", 50051).level is Level.FAIL


def test_a_disk_that_is_nearly_full_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/guard.db"
    assert check_disk(url).detail.endswith(str(tmp_path))
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(surroundings.shutil, "disk_usage", lambda _: full)
    assert check_disk(url).level is Level.WARN
