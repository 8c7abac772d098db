"""Writers of one SQLite file take turns, in whatever process they are.

SQLite lets a writer that comes back at once overtake those who wait, for as long as it likes: they
look again every 100 ms, and the file is free for a fraction of one. Here one waits at the front for
the file, and all others behind it; whoever has just written goes to the back.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

_LOOK_AGAIN_S = 0.001


class Turn:
    """The front is a lock on a file beside the database, held no longer than its holder waits."""

    def __init__(self, database: Path, patience_s: float) -> None:
        self._path = database.with_name(f"{database.name}-turn")
        self._patience_s = patience_s

    def take(self, begin: Callable[[], bool]) -> bool:
        """Begin in turn; False where there can be none, or it took longer than we are patient."""
        until_s = time.monotonic() + self._patience_s
        try:
            front = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # what keeps us from it SQLite will tell
            return False
        try:
            return _repeat(lambda: _is_locked(front), until_s) and _repeat(begin, until_s)
        finally:
            os.close(front)  # and leave the front


def _repeat(attempt: Callable[[], bool], until_s: float) -> bool:
    while not attempt():
        if time.monotonic() > until_s:
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
