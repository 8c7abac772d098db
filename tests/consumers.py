"""The example consumers, run as their readers would run them."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "examples" / "consumers"


@contextmanager
def consuming(inbox: Path, example: str, *arguments: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, str(FOLDER / example), str(inbox), *arguments])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def taken(inbox: Path) -> list[dict[str, Any]]:
    """What is in the inbox, in the order in which it came."""
    if not inbox.exists():
        return []
    with closing(sqlite3.connect(inbox, timeout=30)) as database:
        try:
            rows = database.execute("SELECT event FROM inbox ORDER BY arrived").fetchall()
        except sqlite3.OperationalError:  # it is just being made
            return []
    return [json.loads(event) for (event,) in rows]


def wait_for(inbox: Path, num_events: int, limit_s: float = 30.0) -> list[dict[str, Any]]:
    """What is in the inbox once it has so many, or when nothing new came for so long."""
    seen, until = taken(inbox), time.monotonic() + limit_s
    while len(seen) < num_events and time.monotonic() < until:
        time.sleep(0.05)
        now = taken(inbox)
        if len(now) > len(seen):
            until = time.monotonic() + limit_s
        seen = now
    return seen


def environment() -> dict[str, str]:
    """For a process of the tests' own."""
    tests = str(Path(__file__).parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join([tests, *sys.path])}
