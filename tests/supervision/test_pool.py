import asyncio
from collections.abc import Sequence

import pytest
from scripted import SAFE, ScriptedEngine, prompt

from guard_service.batching.batcher import Batcher
from guard_service.batching.scheduler import BatchLimits
from guard_service.errors import CheckpointRefused, EngineUnavailable
from guard_service.supervision import supervisor as module
from guard_service.supervision.pool import EnginePool
from guard_service.supervision.supervisor import Engine, OnServing, Supervisor


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MIN_BACKOFF_S", 0.001)


class Machine:
    """Devices whose engines are scripted; those in `broken` do not start."""

    def __init__(self, *devices: str, broken: Sequence[str] = ()) -> None:
        self.devices, self.broken = devices, set(broken)
        self.engines: dict[str, list[ScriptedEngine]] = {device: [] for device in devices}
        self.states: list[bool] = []
        self.pool = EnginePool(self._find, self._supervise, self._report)

    async def _find(self) -> Sequence[str]:
        return self.devices

    def _supervise(self, device: str, report: OnServing) -> Supervisor:
        async def start() -> Engine:
            if device in self.broken:
                raise CheckpointRefused
            self.engines[device].append(ScriptedEngine(device=device))
            return self.engines[device][-1]

        async def check(_: Engine) -> None:
            pass

        return Supervisor(start, check, report)

    async def _report(self, is_serving: bool) -> None:
        self.states.append(is_serving)

    async def until_serving(self, number: int) -> None:
        async with asyncio.timeout(5):
            while len(self.pool.engines) != number:
                await asyncio.sleep(0)


async def test_the_death_of_one_of_two_is_not_the_end_of_service() -> None:
    machine = Machine("cuda:0", "cuda:1")
    await machine.pool.start()
    await machine.until_serving(2)
    machine.engines["cuda:0"][0].kill()
    await machine.until_serving(1)
    await machine.until_serving(2)
    assert machine.states == [True]
    assert [len(engines) for engines in machine.engines.values()] == [2, 1]
    await machine.pool.stop()


async def test_the_death_of_all_is_told_and_so_is_the_return() -> None:
    machine = Machine("cuda:0", "cuda:1")
    await machine.pool.start()
    await machine.until_serving(2)
    for device in machine.devices:
        machine.engines[device][0].kill()
    await machine.until_serving(0)
    await machine.until_serving(2)
    assert machine.states == [True, False, True]
    await machine.pool.stop()


async def test_one_device_is_enough_to_serve_and_the_other_is_tried_again() -> None:
    machine = Machine("cuda:0", "cuda:1", broken=["cuda:0"])
    await machine.pool.start()
    assert machine.pool.loaded is not None
    assert machine.pool.loaded.device == "cuda:1"
    machine.broken.clear()
    await machine.until_serving(2)
    await machine.pool.stop()


async def test_without_any_device_that_starts_the_reason_is_told() -> None:
    machine = Machine("cuda:0", "cuda:1", broken=["cuda:0", "cuda:1"])
    with pytest.raises(CheckpointRefused):
        await machine.pool.start()
    await machine.pool.stop()
    with pytest.raises(EngineUnavailable):
        await Machine().pool.start()


async def test_a_dying_engine_fails_its_own_passes_and_no_other() -> None:
    machine = Machine("cuda:0", "cuda:1")
    await machine.pool.start()
    await machine.until_serving(2)
    engines = [machine.engines[device][0] for device in machine.devices]
    for engine in engines:
        engine.may_go.clear()
    batcher = Batcher(
        lambda: machine.pool.engines, BatchLimits(max_wait_ms=0, max_batch_requests=1)
    )
    batcher.start()
    calls = [asyncio.create_task(batcher.read([prompt(n)])) for n in range(6)]
    while not all(engine.batches for engine in engines):
        await asyncio.sleep(0)
    engines[0].kill()
    engines[1].may_go.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [n for n, result in enumerate(results) if isinstance(result, EngineUnavailable)]
    assert failed == [piece.ids[0] for batch in engines[0].batches for piece in batch]
    assert len(failed) == 1
    assert all(r[0].reading == SAFE for n, r in enumerate(results) if n not in failed)  # type: ignore[index]
    await batcher.stop()
    await machine.pool.stop()
