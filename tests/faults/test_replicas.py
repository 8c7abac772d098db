"""Two servers behind our client: what its callers see when one drains, dies or loses its engine."""

import os
import random
import signal
import time
from pathlib import Path

from faults.replica import Caller, Replica, two_replicas, under_load
from length import length
from serving import serving

NUM_DRAINS = length("DRAINS", 3, full=200)
NUM_KILLS = length("KILLS", 3, full=200)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
NUM_CALLERS = 4


def cycle(replicas: list[Replica], number: int, draw: random.Random, how: signal.Signals) -> int:
    """End one of the two at a random moment and start it again; its exit status."""
    replica = replicas[number % 2]
    time.sleep(draw.uniform(0.1, 0.5))
    status = replica.end(how)
    replica.start()
    time.sleep(3)  # longer than a client waits to connect again, before the other goes
    return status


def tell(what: str, callers: list[Caller]) -> None:
    right, failed = sum(c.num_right for c in callers), [e for c in callers for e in c.failed]
    print(f"seed {SEED}: {what}, {right} right answers, {len(failed)} failed {failed[:3]}")


def test_a_drain_under_load_loses_no_call(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with two_replicas(tmp_path) as replicas, under_load(replicas, NUM_CALLERS) as callers:
        statuses = {cycle(replicas, n, draw, signal.SIGTERM) for n in range(NUM_DRAINS)}
    tell(f"{NUM_DRAINS} drains", callers)
    assert statuses == {0}
    assert not [error for caller in callers for error in caller.failed]
    assert not [text for caller in callers for text in caller.wrong]
    assert all(caller.num_right for caller in callers)


def test_a_server_killed_under_load_costs_no_call_of_a_client_that_retries(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with two_replicas(tmp_path) as replicas, under_load(replicas, NUM_CALLERS) as callers:
        statuses = {cycle(replicas, n, draw, signal.SIGKILL) for n in range(NUM_KILLS)}
    tell(f"{NUM_KILLS} kills", callers)
    assert statuses == {-signal.SIGKILL}
    assert not [error for caller in callers for error in caller.failed]
    assert not [text for caller in callers for text in caller.wrong]


def test_an_engine_ends_by_itself_when_its_front_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        engine_pid = served.engine_pid
        served.process.kill()
        until = time.monotonic() + 5  # seen: 1.1 s
        while is_running(engine_pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert not is_running(engine_pid)


def is_running(pid: int) -> bool:
    """A zombie has ended; nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
