import asyncio
from collections.abc import Awaitable, Callable

import pytest
from scripted import SAFE, ScriptedEngine, prompt

from guard_service.engine import supervisor as module
from guard_service.engine.supervisor import Engine, Supervisor
from guard_service.errors import CanaryFailed, EngineUnavailable


class Stage:
    """Hands out scripted engines, and keeps what the supervisor reported."""

    def __init__(self, check: Callable[[Engine], Awaitable[None]] | None = None) -> None:
        self.engines: list[ScriptedEngine] = []
        self.states: list[bool] = []
        self.changed = asyncio.Event()
        self.supervisor = Supervisor(self._start, check or self._pass, self._report)

    async def _start(self) -> Engine:
        self.engines.append(ScriptedEngine())
        return self.engines[-1]

    async def _pass(self, _: Engine) -> None:
        pass

    async def _report(self, is_serving: bool) -> None:
        self.states.append(is_serving)
        self.changed.set()

    async def until(self, *states: bool) -> None:
        while self.states[: len(states)] != list(states):
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 5)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MIN_BACKOFF_S", 0.001)


async def test_without_an_engine_reading_fails_at_once() -> None:
    with pytest.raises(EngineUnavailable):
        await Stage().supervisor.read([prompt(1)])


async def test_a_dead_engine_is_replaced_and_health_follows() -> None:
    stage = Stage()
    await stage.supervisor.start()
    stage.engines[0].kill()
    await stage.until(True, False, True)
    assert (await stage.supervisor.read([prompt(1)])).readings == (SAFE,)
    await stage.supervisor.stop()
    assert stage.engines[1].is_stopped


async def test_who_waits_for_a_dying_engine_is_told() -> None:
    stage = Stage()
    await stage.supervisor.start()
    stage.engines[0].may_go.clear()
    call = asyncio.create_task(stage.supervisor.read([prompt(1)]))
    await asyncio.sleep(0)
    stage.engines[0].kill()
    with pytest.raises(EngineUnavailable):
        await call
    await stage.supervisor.stop()


async def test_an_engine_that_misreads_a_known_prompt_never_serves() -> None:
    async def refuse(_: Engine) -> None:
        raise CanaryFailed

    stage = Stage(refuse)
    with pytest.raises(CanaryFailed):
        await stage.supervisor.start()
    assert stage.states == []
    assert stage.engines[0].is_stopped


async def test_a_replacement_that_misreads_is_replaced_again_before_serving() -> None:
    attempts = 0

    async def refuse_second(_: Engine) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            raise CanaryFailed

    stage = Stage(refuse_second)
    await stage.supervisor.start()
    stage.engines[0].kill()
    await stage.until(True, False, True)
    assert len(stage.engines) == 3
    assert stage.engines[1].is_stopped
    await stage.supervisor.stop()
