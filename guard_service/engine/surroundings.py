"""Whether the database, the disk and the port are there for a server. Changes none of them."""

import os
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from guard_service.engine.finding import Finding, fail, ok, warn

_CONNECT_TIMEOUT_S = 3.0
_MIN_FREE_BYTES = 2**30
_GIB = 2**30
_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mariadb": 3306}


def check_database(url: str) -> Finding:
    """Whether review items can be written; a server is only called, not logged in to."""
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] != "sqlite":
        return _check_server(parts)
    path = _sqlite_path(parts)
    if path is None:
        advice = "review items are lost when the server ends; give GUARD_DATABASE_URL a file"
        return warn("database", "SQLite in memory", advice)
    if path.exists():
        return _check_file(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return fail(
            "database", f"{path.parent}: no folder to write in", "make it, or change the URL"
        )
    return ok("database", f"{path} will be made")


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Finding:
    detail = f"library {'.'.join(map(str, version))}"
    if (3, 7, 0) <= version < (3, 51, 3):
        detail += "; its write-ahead log can be corrupted, so a rollback journal is used"
    return ok("sqlite", detail)


def check_disk(url: str) -> Finding:
    parts = urlsplit(url)
    path = _sqlite_path(parts) if parts.scheme.startswith("sqlite") else None
    folder = path.parent if path and path.parent.is_dir() else Path.cwd()
    free = shutil.disk_usage(folder).free
    detail = f"{free / _GIB:.1f} GiB free in {folder.resolve()}"
    if free < _MIN_FREE_BYTES:
        return warn("disk", detail, "a full disk stops the review feed: make room")
    return ok("disk", detail)


def check_port(host: str, port: int) -> Finding:
    if port == 0:
        return ok("port", f"{host}: any free one")
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            # A port that was left a moment ago is free; without SO_REUSEPORT one in use is not.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        problem = f"{host}:{port}: {error.strerror}"
        return fail("port", problem, "is guard serve running already? else change GUARD_PORT")
    return ok("port", f"{host}:{port} is free")


def _sqlite_path(parts: SplitResult) -> Path | None:
    """The file of sqlite:///relative or sqlite:////absolute; None for one in memory."""
    name = parts.path.removeprefix("/")
    return None if name in ("", ":memory:") else Path(name)


def _check_file(path: Path) -> Finding:
    """Take the lock that writing takes, and give it back."""
    try:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("PRAGMA schema_version")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" in str(error):
            return warn("database", f"{path} is in use", "one server for one file: stop the other")
        advice = "mend its permissions, or point GUARD_DATABASE_URL elsewhere"
        return fail("database", f"{path}: {error}", advice)
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        advice = "the file and its folder (for the journal) must be writable"
        return fail("database", f"{path} is read-only", advice)
    return ok("database", f"{path} can be written")


def _check_server(parts: SplitResult) -> Finding:
    """The URL's user and password are never shown."""
    kind = parts.scheme.partition("+")[0]
    try:
        place = (parts.hostname or "localhost", parts.port or _PORTS.get(kind, 0))
    except ValueError:
        return fail("database", "its port is not a number", "correct GUARD_DATABASE_URL")
    if not place[1]:
        return warn("database", f"{kind or 'no scheme'}: not checked", "see that it is reachable")
    where = f"{kind} at {place[0]}:{place[1]}"
    try:
        socket.create_connection(place, _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        problem = f"{where}: {error.strerror or type(error).__name__}"
        return fail("database", problem, "start it, or correct GUARD_DATABASE_URL")
    return ok("database", f"{where} answers; user and rights were not tried")
