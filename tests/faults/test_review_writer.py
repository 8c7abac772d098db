"""What was acknowledged is there after kill -9. GUARD_TEST_WRITER_KILLS sets how often."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import postgresql_url

from guard_service.review.item import Outcome
from guard_service.review.store import ReviewStore

NUM_KILLS = int(os.environ.get("GUARD_TEST_WRITER_KILLS", "3"))
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
_HERE = Path(__file__).parent


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'guard.db'}"
    else:
        with postgresql_url() as url:
            yield url


def acknowledged_until_killed(url: str, number: int, alive_s: float) -> list[str]:
    command = [sys.executable, str(_HERE / "review_writer.py"), url, str(number)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_HERE.parent), *sys.path])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(alive_s)
    process.send_signal(signal.SIGKILL)
    lines = [first, *process.stdout.read().splitlines(keepends=True)]
    process.stdout.close()
    process.wait()
    return [line.strip() for line in lines if line.endswith("\n")]


async def test_no_acknowledged_item_or_resolution_is_lost_by_kill_9(url: str) -> None:
    draw, said = random.Random(SEED), Counter[str]()
    for number in range(NUM_KILLS):
        said.update(acknowledged_until_killed(url, number, draw.uniform(0, 0.5)))
    store = ReviewStore(url)
    await store.start()
    for line in said:
        what, item_id = line.split()
        record = await store.get(item_id)
        if what == "resolved":
            assert record.outcome is Outcome.UPHELD
            assert len(record.resolutions) == 1
    await store.stop()
    assert said
    assert max(said.values()) == 1
    print(f"{NUM_KILLS} kills: 0 of {len(said)} acknowledged lost")
