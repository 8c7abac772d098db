import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from scripted import SAFE, UNSAFE, ScriptedEngine, prompt

from guard_service.engine.batcher import Batcher
from guard_service.engine.message import Batch, BatchRead
from guard_service.engine.scheduler import BatchLimits
from guard_service.errors import EngineUnavailable


@asynccontextmanager
async def running(engine: ScriptedEngine, **limits: float) -> AsyncIterator[Batcher]:
    batcher = Batcher(lambda: [engine], BatchLimits(**limits))  # type: ignore[arg-type]
    batcher.start()
    yield batcher
    await batcher.stop()


async def settle() -> None:
    """Let everything that can run now run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_everyone_gets_their_own_answer() -> None:
    engine = ScriptedEngine()
    async with running(engine, max_wait_ms=5) as batcher:
        calls = [batcher.read([prompt(666 if n % 3 == 0 else n)]) for n in range(50)]
        answers = [answer for (answer,) in await asyncio.gather(*calls)]
    assert [a.reading for a in answers] == [UNSAFE if n % 3 == 0 else SAFE for n in range(50)]


async def test_calls_that_wait_together_share_a_batch() -> None:
    engine = ScriptedEngine()
    async with running(engine, max_wait_ms=50, max_batch_requests=4) as batcher:
        answers = await asyncio.gather(*(batcher.read([prompt(n)]) for n in range(4)))
    assert [len(batch) for batch in engine.batches] == [4]
    assert answers[0][0].batch_size == 4


async def test_what_arrives_while_the_engine_works_goes_together_next() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    async with running(engine, max_wait_ms=0) as batcher:
        first = asyncio.create_task(batcher.read([prompt(0)]))
        await settle()
        rest = [asyncio.create_task(batcher.read([prompt(n)])) for n in range(1, 6)]
        await settle()
        engine.may_go.set()
        await asyncio.gather(first, *rest)
    assert [len(batch) for batch in engine.batches] == [1, 5]


async def test_a_batch_stays_within_its_tokens_and_loses_nobody() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    limits = {"max_wait_ms": 0, "max_batch_tokens": 100, "min_piece_tokens": 10}
    async with running(engine, **limits) as batcher:
        lengths = [40, 10, 350, 20, 41, 5, 90]
        calls = [asyncio.create_task(batcher.read([prompt(*range(n))])) for n in lengths]
        await settle()
        engine.may_go.set()
        await asyncio.gather(*calls)
    sizes = [[len(piece.ids) for piece in batch] for batch in engine.batches]
    assert all(sum(batch) <= 100 for batch in sizes)
    assert sorted(len(p.ids) for p in engine.read_prompts) == sorted(lengths)


async def test_callers_that_left_are_dropped_before_the_model_sees_them() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    async with running(engine, max_wait_ms=0) as batcher:
        running_call = asyncio.create_task(batcher.read([prompt(0)]))
        await settle()
        leaver = asyncio.create_task(batcher.read([prompt(1), prompt(2)]))
        stayer = asyncio.create_task(batcher.read([prompt(3)]))
        await settle()
        leaver.cancel()
        await settle()
        engine.may_go.set()
        await asyncio.gather(running_call, stayer)
    assert [p.ids for batch in engine.batches for p in batch] == [(0,), (3,)]


async def test_a_dead_engine_answers_everyone_and_the_next_calls_too() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    async with running(engine, max_wait_ms=0) as batcher:
        calls = [asyncio.create_task(batcher.read([prompt(n)])) for n in range(5)]
        await settle()
        engine.kill()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, EngineUnavailable) for result in results)
        with pytest.raises(EngineUnavailable):
            await batcher.read([prompt(9)])


async def test_a_bug_in_one_batch_fails_that_batch_alone() -> None:
    engine = ScriptedEngine()

    async def read(batch: Batch) -> BatchRead:
        if not engine.batches:
            engine.batches.append([])
            raise ZeroDivisionError
        return await ScriptedEngine.read(engine, batch)

    engine.read = read  # type: ignore[method-assign]
    batcher = Batcher(lambda: [engine], BatchLimits(max_wait_ms=0))
    batcher.start()
    with pytest.raises(EngineUnavailable):
        await batcher.read([prompt(1)])
    assert (await batcher.read([prompt(2)]))[0].reading == SAFE
    await batcher.stop()


async def test_stopping_answers_everyone_who_waits() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    async with running(engine, max_wait_ms=0) as batcher:
        calls = [asyncio.create_task(batcher.read([prompt(n)])) for n in range(3)]
        await settle()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, EngineUnavailable) for result in results)


async def test_ten_thousand_calls_with_random_leavers_are_answered_exactly_once() -> None:
    import random

    draw = random.Random(7)
    engine = ScriptedEngine()
    async with running(
        engine, max_wait_ms=0.1, max_batch_tokens=200, min_piece_tokens=20
    ) as batcher:
        calls = []
        for n in range(10_000):
            length = draw.randrange(1, 30)
            marker = (666,) if n % 2 else (n + 1000,)
            calls.append(asyncio.create_task(batcher.read([prompt(*range(length), *marker)])))
            if draw.random() < 0.05:
                calls[draw.randrange(len(calls))].cancel()
            if draw.random() < 0.1:
                await asyncio.sleep(0)
        results = await asyncio.gather(*calls, return_exceptions=True)
    for n, result in enumerate(results):
        if not isinstance(result, asyncio.CancelledError):
            assert result[0].reading == (UNSAFE if n % 2 else SAFE)  # type: ignore[index]
