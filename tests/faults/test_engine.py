"""Engines that die, hang and lie in every way we know, under callers who must all be answered."""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from faults.worker import FAULTS, FIRST_MARK, score_of
from length import length

from guard_service.batching.batcher import Batcher
from guard_service.batching.entry import Caller
from guard_service.batching.scheduler import BatchLimits
from guard_service.engine.message import Engine, Load
from guard_service.errors import EngineUnavailable, ReadingRejected
from guard_service.prompt import Prefix, Prompt
from guard_service.supervision import supervisor
from guard_service.supervision.pool import EnginePool
from guard_service.supervision.process import EngineProcess
from guard_service.supervision.supervisor import OnServing, Supervisor
from guard_service.supervision.watchdog import Patience
from guard_service.verdict import check_reading

NUM_DEATHS = length("DEATHS", 24, full=1000)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
NUM_CALLERS = 16
DEADLINE_S = 10.0
PATIENCE = Patience(min_pass_s=0.5, pass_factor=10, heartbeat_s=0.5, start_s=60)
WORKER = (sys.executable, str(Path(__file__).parent / "worker.py"))


class Stand:
    """Two scripted engine processes with the real pool, supervisors and batcher before them."""

    def __init__(self) -> None:
        self.dead: set[int] = set()  # known to be
        self._burials: list[asyncio.Task[None]] = []
        self.pool = EnginePool(self._devices, self._supervise, self._ignore)
        limits = BatchLimits(max_wait_ms=0.5, max_batch_requests=4)
        self.batcher = Batcher(lambda: self.pool.engines, limits, patience=PATIENCE)

    async def _devices(self) -> Sequence[str]:
        return ("one", "two")

    def _supervise(self, device: str, report: OnServing) -> Supervisor:
        async def start() -> Engine:
            engine = await EngineProcess.start(Load(Path(), device, "none", 1), WORKER)
            self._burials.append(asyncio.create_task(self._bury(engine)))
            return engine

        return Supervisor(start, self._pass, report, PATIENCE)

    async def _bury(self, engine: Engine) -> None:
        await engine.wait_dead()
        self.dead.add(engine.pid)

    async def _pass(self, _: Engine) -> None:
        pass

    async def _ignore(self, _: bool) -> None:
        pass


class Oracle:
    """Asks, and compares what comes back with what alone is right."""

    def __init__(self, stand: Stand, draw: random.Random) -> None:
        self._stand = stand
        self._draw = draw
        self.outcomes: Counter[str] = Counter()

    async def ask(self) -> None:
        ids = tuple(self._draw.randrange(1000) for _ in range(self._draw.randrange(1, 60)))
        if self._draw.random() < 0.01:
            ids = (*ids, FIRST_MARK + self._draw.randrange(len(FAULTS)))
        found = await self.outcome(Prompt(Prefix((1, 2), ("S1", "S2")), ids))
        self.outcomes[found] += 1
        if found == "unavailable":
            await asyncio.sleep(0.01)

    async def outcome(self, prompt: Prompt) -> str:
        dead = frozenset(self._stand.dead)
        deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
        try:
            async with asyncio.timeout_at(deadline_s):
                (answer,) = await self._stand.batcher.read([prompt], Caller(deadline_s=deadline_s))
            reading = check_reading(answer.reading, 0.5)
        except EngineUnavailable:
            return "unavailable"
        except ReadingRejected:
            return "rejected"
        except TimeoutError:
            return "late"
        if int(reading.listed[0].removeprefix("pid")) in dead:
            return "from the dead"
        return "right" if reading.unsafe_score == score_of(prompt.ids) else "wrong"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_MIN_BACKOFF_S", 0.001)
    monkeypatch.setattr(supervisor, "_MAX_BACKOFF_S", 0.01)


async def test_whatever_engines_do_every_caller_has_the_right_answer_or_an_error_in_time() -> None:
    stand = Stand()
    await stand.pool.start()
    stand.batcher.start()
    oracles = [Oracle(stand, random.Random(f"{SEED}-{n}")) for n in range(NUM_CALLERS)]

    async def call(oracle: Oracle) -> None:
        while len(stand.dead) < NUM_DEATHS:
            await oracle.ask()

    await asyncio.gather(*map(call, oracles))
    tasks = asyncio.all_tasks()
    await stand.batcher.stop()
    await stand.pool.stop()
    outcomes = sum((oracle.outcomes for oracle in oracles), Counter[str]())
    print(f"seed {SEED}: {len(stand.dead)} deaths, {dict(outcomes)}")
    assert outcomes.keys() <= {"right", "unavailable", "rejected"}
    # How many are refused meanwhile hangs on how fast the machine starts a process.
    assert outcomes["right"] > NUM_DEATHS * NUM_CALLERS
    assert len(tasks) < 30  # the dead leave none behind
    assert not any(Path(f"/proc/{pid}").exists() for pid in stand.dead)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
async def test_each_fault_is_an_error_and_the_next_caller_is_served(fault: object) -> None:
    stand = Stand()
    await stand.pool.start()
    stand.batcher.start()
    oracle = Oracle(stand, random.Random(SEED))
    mark = FIRST_MARK + FAULTS.index(fault)  # type: ignore[arg-type]
    outcome = await oracle.outcome(Prompt(Prefix((1, 2), ("S1", "S2")), (5, mark)))
    assert outcome in ("unavailable", "rejected")
    while (await oracle.outcome(Prompt(Prefix((1, 2), ("S1", "S2")), (5,)))) != "right":
        await asyncio.sleep(0.01)
    await stand.batcher.stop()
    await stand.pool.stop()
