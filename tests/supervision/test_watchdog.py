import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from scripted import SAFE, ScriptedEngine, in_virtual_time, prompt

from guard_service.batching.batcher import Batcher
from guard_service.batching.scheduler import BatchLimits
from guard_service.engine.message import Batch, BatchRead, Engine, Loaded, Piece
from guard_service.errors import CanaryFailed, EngineUnavailable
from guard_service.supervision.watchdog import Patience, check_rows, watch, within

PATIENCE = Patience(min_pass_s=1.0, pass_factor=10.0, heartbeat_s=5.0)
BATCH = Batch(tuple(Piece.whole(number, prompt(number)) for number in (1, 2)))


async def healthy(_: Engine) -> None:
    pass


def test_a_pass_that_hangs_ends_with_the_engine_and_everyone_is_told() -> None:
    async def scenario() -> None:
        loop, engine = asyncio.get_running_loop(), ScriptedEngine(seconds=lambda n: 0.01)
        limits = BatchLimits(max_wait_ms=0, max_batch_requests=1)
        batcher = Batcher(lambda: [engine], limits, patience=PATIENCE)
        batcher.start()
        await batcher.read([prompt(1)])
        engine.may_go.clear()
        started_s = loop.time()
        calls = [asyncio.create_task(batcher.read([prompt(n)])) for n in range(5)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, EngineUnavailable) for result in results)
        assert loop.time() - started_s == pytest.approx(1.0, abs=0.01)
        assert await engine.wait_dead() == -9
        await batcher.stop()

    in_virtual_time(scenario())


@pytest.mark.parametrize(
    ("device", "num_bytes", "limit_s"),
    [("cpu", 0, 6.0), ("cpu", 16e9, 819.2), ("cuda:0", 16e9, 16.4), ("cuda:0", 1e9, 6.0)],
)
def test_a_first_pass_has_what_its_model_and_device_may_need(
    device: str, num_bytes: float, limit_s: float
) -> None:
    loaded = Loaded(device, "bfloat16", num_weight_bytes=int(num_bytes))
    assert Patience(min_pass_s=1.0).pass_limit_s(0.0, loaded, 1024) == pytest.approx(limit_s, 0.01)


def test_a_slow_engine_has_the_time_that_its_own_passes_suggest() -> None:
    async def scenario() -> None:
        engine = ScriptedEngine(seconds=lambda n: n * 0.5)
        batcher = Batcher(lambda: [engine], BatchLimits(max_wait_ms=0), patience=PATIENCE)
        batcher.start()
        for length in (2, 4, 40):  # up to 20 s a pass
            (answer,) = await batcher.read([prompt(*range(length))])
            assert answer.reading == SAFE
        await batcher.stop()

    in_virtual_time(scenario())


def test_an_idle_engine_that_misses_a_heartbeat_is_killed() -> None:
    async def scenario() -> None:
        loop, engine = asyncio.get_running_loop(), ScriptedEngine()
        watching = asyncio.create_task(watch(engine, PATIENCE, healthy))
        await asyncio.sleep(21)
        assert not watching.done()
        engine.is_silent = True
        await engine.wait_dead()
        assert loop.time() == pytest.approx(26.0)
        await asyncio.gather(watching, return_exceptions=True)

    in_virtual_time(scenario())


def test_a_device_that_goes_wrong_while_it_runs_is_found_by_its_known_prompts() -> None:
    async def scenario() -> None:
        async def misread(_: Engine) -> None:
            raise CanaryFailed

        engine = ScriptedEngine()
        with pytest.raises(EngineUnavailable, match="CanaryFailed"):
            await watch(engine, PATIENCE, misread)
        assert asyncio.get_running_loop().time() == pytest.approx(60.0)
        assert await engine.wait_dead() == -9

    in_virtual_time(scenario())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda read: replace(read, keys=read.keys[::-1]),
        lambda read: replace(read, keys=(1, 7)),
        lambda read: replace(read, readings=read.readings[:1]),
        lambda read: replace(read, readings=read.readings * 2),
        lambda read: replace(read, keys=(), readings=()),
    ],
    ids=["swapped", "of another", "one short", "too many", "none"],
)
async def test_rows_that_were_not_asked_for_kill_the_engine(
    spoil: Callable[[BatchRead], BatchRead],
) -> None:
    engine = ScriptedEngine(spoil=spoil)
    with pytest.raises(EngineUnavailable, match="other rows"):
        check_rows(engine, await engine.read(BATCH), [p.key for p in BATCH.pieces], False)
    assert await engine.wait_dead() == -9


async def test_work_that_ends_in_time_gives_its_result_or_its_error() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    assert await within(5.0, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(ZeroDivisionError):
        await within(5.0, fail())
    with pytest.raises(TimeoutError):
        await within(0.01, asyncio.sleep(60))


def test_a_pause_of_this_process_is_not_one_of_the_engine() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def pause() -> None:  # everything stands still for an hour
            loop._jump.now_s += 3600  # type: ignore[attr-defined]

        loop.call_later(0.1, pause)
        assert await within(1.0, asyncio.sleep(0.5, "done")) == "done"

    in_virtual_time(scenario())
