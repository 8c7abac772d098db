"""What was acknowledged is there after a power cut. GUARD_TEST_POWER_CUTS sets how many.

A writer's file operations are recorded, and the power goes at any of them: the files are made as
the disk may then have them, and read by SQLite.
"""

import os
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.disk import Acknowledged, Disk, Step
from length import length
from services import missing

from guard_service.review.audit import link_entries
from guard_service.review.store import ReviewStore
from guard_service.review.verification import verify

NUM_CUTS = length("POWER_CUTS", 200, full=5000)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
_CUTS_EACH = 500  # of one recording
_NUM_ITEMS = 60
_HERE = Path(__file__).parent


# As the store sets it, and weaker: the test must find what these lose.
NORMAL = ("synchronous=NORMAL",)
JOURNAL_DELETED = ("journal_mode=DELETE",)


@dataclass
class Losses:
    num_cuts: int = 0
    num_acknowledged: int = 0
    num_lost: int = 0
    num_torn: int = 0  # databases, whose items are not counted as lost

    def count(self, acknowledged: set[str], left: set[str] | None) -> None:
        self.num_cuts += 1
        self.num_acknowledged += len(acknowledged)
        self.num_torn += left is None
        self.num_lost += 0 if left is None else len(acknowledged - left)

    def __str__(self) -> str:
        lost = f"{self.num_lost} of {self.num_acknowledged} acknowledged items lost"
        return f"{self.num_cuts} power cuts: {lost}, {self.num_torn} databases torn"


def recorded(folder: Path, pragmas: Sequence[str]) -> list[Step]:
    writer = [sys.executable, str(_HERE / "recorded_writer.py"), str(folder), str(_NUM_ITEMS)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_HERE.parent), *sys.path])}
    done = subprocess.run([*writer, *pragmas], env=environment, stderr=subprocess.PIPE, text=True)
    if "sqlite3_vfs_find" in done.stderr or "has no attribute '__file__'" in done.stderr:
        missing("needs a Python whose SQLite is a library of its own")
    assert done.returncode == 0, done.stderr
    steps: list[Step] = pickle.loads((folder / "steps").read_bytes())
    return steps


def cuts(
    steps: Sequence[Step], num_cuts: int, draw: random.Random, folder: Path
) -> Iterator[list[str]]:
    """Ids acknowledged by the moment of each cut; `folder` then has what is left on the disk."""
    at = sorted(draw.randrange(len(steps)) for _ in range(num_cuts))
    disk, acknowledged = Disk(), list[str]()
    for number, step in enumerate(steps):
        disk.do(step)
        if isinstance(step, Acknowledged):
            acknowledged.append(step.item_id)
        while at and at[0] == number:
            at.pop(0)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            disk.cut(draw, folder)
            yield acknowledged


_TOLD = (
    "SELECT item_id FROM review_events WHERE kind = 'added' ORDER BY item_id",
    "SELECT item_id FROM review_audit WHERE act = 'decided' ORDER BY item_id",
    "SELECT item_id FROM review_texts ORDER BY item_id",
)


def ids_left(path: Path) -> set[str] | None:
    """The items there, each with all that was written with it; None: the database is torn."""
    with closing(sqlite3.connect(path)) as left:
        try:
            if left.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return None
            tables = left.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if ("review_audit",) not in tables:  # cut in the midst of the first start
                return set()
            ids = left.execute("SELECT id FROM review_items ORDER BY id").fetchall()
            is_whole = all(left.execute(told).fetchall() == ids for told in _TOLD)
            is_whole = is_whole and set(ids) <= set(keys_left(path.with_name("guard-keys.db")))
        except sqlite3.DatabaseError:
            return None
    return {item_id for (item_id,) in ids} if is_whole else None


def keys_left(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as left:
        is_there = "SELECT 1 FROM sqlite_master WHERE name = 'review_text_keys'"
        if left.execute(is_there).fetchone() is None:
            return []
        return left.execute("SELECT item_id FROM review_text_keys").fetchall()


def losses_of(pragmas: Sequence[str], num_cuts: int, folder: Path) -> Losses:
    draw, losses = random.Random(SEED), Losses()
    while losses.num_cuts < num_cuts:
        recording = folder / str(losses.num_cuts)
        recording.mkdir()
        num_now = min(_CUTS_EACH, num_cuts - losses.num_cuts)
        steps = recorded(recording, pragmas)
        for acknowledged in cuts(steps, num_now, draw, folder / "after"):
            losses.count(set(acknowledged), ids_left(folder / "after" / "guard.db"))
    return losses


def test_no_acknowledged_item_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    losses = losses_of((), NUM_CUTS, tmp_path)
    print(f"as the store sets it: {losses}")
    assert losses.num_acknowledged
    assert (losses.num_lost, losses.num_torn) == (0, 0)


@pytest.mark.parametrize("pragmas", [NORMAL, JOURNAL_DELETED], ids="; ".join)
def test_what_weaker_settings_lose_is_found(pragmas: Sequence[str], tmp_path: Path) -> None:
    losses = losses_of(pragmas, NUM_CUTS, tmp_path)
    print(f"{'; '.join(pragmas)}: {losses}")
    assert losses.num_lost > 0


async def test_the_service_goes_on_after_a_power_cut_and_its_audit_log_is_whole(
    tmp_path: Path,
) -> None:
    draw = random.Random(SEED)
    for _ in cuts(recorded(tmp_path, ()), 5, draw, tmp_path / "after"):
        store = ReviewStore(f"sqlite:///{tmp_path / 'after' / 'guard.db'}")
        await store.start()
        while await store.database.run(link_entries):
            pass
        await verify(store.database)
        await store.stop()
