"""What was acknowledged is there after kill -9. GUARD_TEST_WRITER_KILLS sets how often."""

import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from faults.review_writer import write
from length import length
from services import postgresql_url
from sqlalchemy import Connection, select

from guard_service.review.audit import link_entries
from guard_service.review.item import Outcome
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_audit, review_items, review_resolutions
from guard_service.review.verification import verify

NUM_KILLS = length("WRITER_KILLS", 3, full=5000)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
_ALIVE_S = 0.2

Said = tuple[str, str]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'guard.db'}"
    else:
        with postgresql_url() as url:
            yield url


def acknowledged_until_killed(url: str, number: int, alive_s: float) -> list[Said]:
    """Forked from a server that has imported all of it: a kill takes a tenth of a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.review_writer"])
    receiver, sender = context.Pipe(duplex=False)
    writer = context.Process(target=write, args=(url, number, sender))
    writer.start()
    sender.close()
    said: list[Said] = [receiver.recv()]
    time.sleep(alive_s)
    writer.kill()
    with suppress(EOFError), receiver:
        while True:
            said.append(receiver.recv())
    writer.join()
    writer.close()
    return said


def there(connection: Connection) -> list[Said]:
    """What an acknowledgement may have said, with what is written twice twice."""
    added = connection.execute(select(review_items.c.id)).scalars()
    looks = select(review_resolutions.c.item_id).join(review_items)
    resolved = connection.execute(looks.where(review_items.c.outcome == Outcome.UPHELD.value))
    return [
        *(("added", each) for each in added),
        *(("resolved", each) for each in resolved.scalars()),
    ]


def logged(connection: Connection) -> list[Said]:
    names = {"decided": "added", "resolved": "resolved"}
    entries = connection.execute(select(review_audit.c.act, review_audit.c.item_id))
    return [(names[act], item_id) for act, item_id in entries]


async def test_no_acknowledged_item_or_resolution_is_lost_by_kill_9(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fork server imports by this, not by our sys.path.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]))
    store = ReviewStore(url)
    await store.start()
    await store.stop()
    draw, said = random.Random(SEED), list[Said]()
    for number in range(NUM_KILLS):
        said += acknowledged_until_killed(url, number, draw.uniform(0, _ALIVE_S))
    store = ReviewStore(url)
    await store.start()
    left, entries = await store.database.read(there), await store.database.read(logged)
    while await store.database.run(link_entries):
        pass
    head = await verify(store.database)
    await store.stop()
    assert len(said) == len(set(said)) >= NUM_KILLS
    assert set(said) <= set(left)
    assert sorted(left) == sorted(entries)  # each once
    print(f"{NUM_KILLS} kills: 0 of {len(said)} lost, {head.position} entries of the log whole")
