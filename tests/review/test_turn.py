"""No writer of a SQLite file is kept waiting by one that has just written."""

import threading
import time
from pathlib import Path

from sqlalchemy import text

from guard_service.review.database import open_engine
from guard_service.review.turn import Turn

_WRITES_S = 0.01
_NUM_GREEDY = 3


def test_who_writes_again_at_once_does_not_overtake_who_waits(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    is_over = threading.Event()

    def write(times: int | None) -> None:
        """Without a pause between the transactions."""
        engine = open_engine(url, "database_url")
        while not is_over.is_set() and times != 0:
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO t VALUES (1)"))
                time.sleep(_WRITES_S)
            times = times and times - 1
        engine.dispose()

    engine = open_engine(url, "database_url")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
    engine.dispose()
    greedy = [threading.Thread(target=write, args=(None,)) for _ in range(_NUM_GREEDY)]
    for each in greedy:
        each.start()
    modest = threading.Thread(target=write, args=(20,))
    modest.start()
    modest.join(30)
    was_kept_waiting = modest.is_alive()
    is_over.set()
    for each in (*greedy, modest):
        each.join()
    assert not was_kept_waiting


def test_patience_ends_and_the_front_is_free_again(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "guard.db", patience_s=0.05)
    assert not turn.take(lambda: False)
    assert turn.take(lambda: True)


def test_nobody_passes_who_waits_at_the_front(tmp_path: Path) -> None:
    impatient = Turn(tmp_path / "guard.db", patience_s=0.05)
    overtook = []

    def begin() -> bool:
        overtook.append(impatient.take(lambda: True))
        return True

    assert Turn(tmp_path / "guard.db", patience_s=5.0).take(begin)
    assert overtook == [False]
