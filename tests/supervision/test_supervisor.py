import asyncio
from collections.abc import Awaitable, Callable

import pytest
from scripted import ScriptedEngine

from guard_service.errors import CanaryFailed
from guard_service.supervision import supervisor as module
from guard_service.supervision.supervisor import Engine, Supervisor


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


async def test_a_dead_engine_is_replaced_and_health_follows() -> None:
    stage = Stage()
    await stage.supervisor.start()
    stage.engines[0].kill()
    await stage.until(True, False, True)
    assert stage.supervisor.engine is stage.engines[1]
    await stage.supervisor.stop()
    assert stage.engines[1].is_stopped


async def test_an_engine_that_misreads_a_known_prompt_never_serves() -> None:
    async def refuse(_: Engine) -> None:
        raise CanaryFailed

    stage = Stage(refuse)
    with pytest.raises(CanaryFailed):
        await stage.supervisor.start()
    assert stage.states == []
    assert stage.engines[0].is_stopped


async def test_after_a_start_that_failed_it_can_keep_trying() -> None:
    attempts = 0

    async def refuse_first(_: Engine) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise CanaryFailed

    stage = Stage(refuse_first)
    with pytest.raises(CanaryFailed):
        await stage.supervisor.start()
    stage.supervisor.start_again()
    await stage.until(True)
    assert stage.supervisor.engine is stage.engines[1]
    await stage.supervisor.stop()


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
