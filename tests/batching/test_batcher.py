import asyncio
import os
import random
import statistics
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from length import length
from scripted import SAFE, UNSAFE, ScriptedEngine, in_virtual_time, prompt

from guard_service.batching.batcher import Batcher
from guard_service.batching.entry import Answer, Caller, Lane
from guard_service.batching.reuse import Reuse
from guard_service.batching.scheduler import BatchLimits
from guard_service.engine.message import Batch, BatchRead
from guard_service.errors import DeadlineExceeded, EngineUnavailable, PromptQuarantined
from guard_service.prompt import Prompt
from guard_service.verdict import Reading


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


async def test_the_same_prompt_of_one_caller_under_way_twice_is_read_once() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    a, b, bulk = Caller(name="a"), Caller(name="b"), Caller(Lane.BULK, "a")
    async with running(engine, max_wait_ms=0) as batcher:
        leaver = asyncio.create_task(batcher.read([prompt(1)], a))
        await settle()
        same = [asyncio.create_task(batcher.read([prompt(1)], a)) for _ in range(3)]
        others = [asyncio.create_task(batcher.read([prompt(1)], caller)) for caller in (b, bulk)]
        stricter = asyncio.create_task(batcher.read([replace(prompt(1), list_above=0.1)], a))
        await settle()
        leaver.cancel()
        engine.may_go.set()
        results = await asyncio.gather(*same, *others, stricter)
    assert all(answer.reading == SAFE for (answer,) in results)
    assert len(engine.read_prompts) == 4


async def test_a_reading_from_the_cache_takes_no_pass() -> None:
    engine = ScriptedEngine()
    batcher = Batcher(lambda: [engine], BatchLimits(max_wait_ms=0), Reuse(100_000))
    batcher.start()
    first, again = [(await batcher.read([prompt(666)]))[0] for _ in range(2)]
    assert first.reading == again.reading == UNSAFE
    assert (first.batch_size, again.batch_size, len(engine.batches)) == (1, 0, 1)
    await batcher.stop()


async def test_a_window_that_fails_takes_the_others_back() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    async with running(engine, max_wait_ms=0, max_batch_requests=1) as batcher:
        call = asyncio.create_task(batcher.read([prompt(1), prompt(2)]))
        await settle()
        engine.kill()
        with pytest.raises(EngineUnavailable):
            await call
    assert len(engine.batches) == 1


async def test_a_prompt_whose_caller_leaves_between_pieces_is_forgotten() -> None:
    engine = ScriptedEngine()
    engine.may_go.clear()
    limits = {"max_wait_ms": 0, "max_batch_tokens": 100, "min_piece_tokens": 10}
    async with running(engine, **limits) as batcher:
        leaver = asyncio.create_task(batcher.read([prompt(*range(500))]))
        await settle()
        leaver.cancel()
        stayer = asyncio.create_task(batcher.read([prompt(7)]))
        await settle()
        engine.may_go.set()
        await stayer
    assert engine.held == {}
    assert [p.ids for p in engine.read_prompts] == [(7,)]


def passes_of(engine: ScriptedEngine) -> list[int]:
    return [len(batch) for batch in engine.batches]


def test_a_call_that_cannot_be_answered_in_time_is_refused_at_once() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        engine = ScriptedEngine(seconds=lambda n: 0.01 + n * 0.001)
        async with running(engine, max_wait_ms=0) as batcher:
            for n in range(10):
                await batcher.read([prompt(n, *range(n * 10))])
            asked_s, num_passes = loop.time(), len(engine.batches)
            with pytest.raises(DeadlineExceeded):
                await batcher.read([prompt(*range(200))], Caller(deadline_s=asked_s + 0.15))
            assert (loop.time(), len(engine.batches)) == (asked_s, num_passes)
            await batcher.read([prompt(*range(200))], Caller(deadline_s=asked_s + 0.3))
            assert loop.time() <= asked_s + 0.3

    in_virtual_time(scenario())


def test_who_can_no_longer_be_answered_in_time_is_dropped_before_the_pass() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        engine = ScriptedEngine(seconds=lambda n: n * 0.001)
        async with running(engine, max_wait_ms=0) as batcher:
            await batcher.read([prompt(*range(100))])
            first = asyncio.create_task(batcher.read([prompt(*range(1, 900))]))
            await asyncio.sleep(0.01)
            caller = Caller(deadline_s=loop.time() + 0.5)
            with pytest.raises(DeadlineExceeded):
                await batcher.read([prompt(*range(2, 300))], caller)
            await first
        assert passes_of(engine) == [1, 1]

    in_virtual_time(scenario())


def test_an_engine_is_handed_a_second_pass_only_near_the_end_of_the_first() -> None:
    async def handed_over(device: str) -> list[float]:
        loop, times = asyncio.get_running_loop(), []

        def seconds(num_tokens: int) -> float:
            times.append(loop.time())
            return num_tokens * 0.001

        engine = ScriptedEngine(seconds=seconds, device=device)
        async with running(engine, max_wait_ms=0, max_batch_requests=1) as batcher:
            await batcher.read([prompt(*range(100))])
            start_s = loop.time()
            await asyncio.gather(*(batcher.read([prompt(n, *range(99))]) for n in range(2)))
        return [round(at - start_s, 4) for at in times[1:]]

    assert in_virtual_time(handed_over("cpu")) == [0.0, 0.09]
    assert in_virtual_time(handed_over("cuda:0")) == [0.0, 0.097]


def test_interactive_calls_wait_for_one_pass_of_bulk_work_at_most() -> None:
    async def scenario() -> list[float]:
        loop, draw = asyncio.get_running_loop(), random.Random(3)
        engine = ScriptedEngine(seconds=lambda n: 0.003 + n * 0.00003, device="cuda:0")
        waits = []
        async with running(engine) as batcher:
            bulk = Caller(Lane.BULK, "bulk")
            items = [
                asyncio.create_task(
                    batcher.read([prompt(n, *range(draw.randrange(50, 900)))], bulk)
                )
                for n in range(2000)
            ]
            for n in range(200):
                await asyncio.sleep(draw.expovariate(20))
                asked_s = loop.time()
                await batcher.read([prompt(9000 + n, *range(100))])
                waits.append(loop.time() - asked_s)
            for item in items:
                item.cancel()
            await asyncio.gather(*items, return_exceptions=True)
        return waits

    longest_pass_s = 0.003 + 2048 * 0.00003
    own_pass_s = 0.003 + (101 + 200) * 0.00003  # with bulk work's small share in it
    waits = in_virtual_time(scenario())
    assert max(waits) < longest_pass_s + 0.003 + own_pass_s
    assert statistics.median(waits) < 0.02


NUM_REQUESTS = length("REQUESTS", 10_000, full=1_000_000)


def read_by_ids(asked: Prompt) -> Reading:
    """Nearly no two prompts have the same."""
    return Reading(zlib.crc32(repr(asked.ids).encode()) / 2**32, 1.0, (1.0,))


async def test_calls_in_shared_passes_with_random_leavers_get_their_own_answer_once() -> None:
    draw = random.Random(int(os.environ.get("GUARD_TEST_SEED", "7")))
    outcomes: Counter[str] = Counter()
    for _ in range(0, NUM_REQUESTS, 10_000):
        outcomes += await ten_thousand_calls(draw)
    print(f"{outcomes.total()} requests, {dict(outcomes)}")
    assert outcomes.keys() == {"right", "left"}


async def ten_thousand_calls(draw: random.Random) -> Counter[str]:
    engine = ScriptedEngine(read_by_ids)
    limits = {"max_wait_ms": 0.1, "max_batch_tokens": 200, "min_piece_tokens": 20}
    asked = [prompt(*draw.choices(range(1000), k=draw.randrange(1, 31))) for _ in range(10_000)]
    async with running(engine, **limits) as batcher:
        calls = []
        for each in asked:
            calls.append(asyncio.create_task(batcher.read([each])))
            if draw.random() < 0.05:
                calls[draw.randrange(len(calls))].cancel()
            if draw.random() < 0.1:
                await asyncio.sleep(0)
        results = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(map(outcome, asked, results))


def outcome(asked: Prompt, result: list[Answer] | BaseException) -> str:
    if isinstance(result, BaseException):
        return "left" if isinstance(result, asyncio.CancelledError) else type(result).__name__
    return "right" if result[0].reading == read_by_ids(asked) else "wrong"


class Engines:
    """One after the other, each dead as soon as it reads id 13."""

    def __init__(self, make: Callable[[], "Mortal"] = lambda: Mortal()) -> None:
        self._make = make
        self.all = [make()]

    def __call__(self) -> list[ScriptedEngine]:
        if self.all[-1].is_dead:
            self.all.append(self._make())
        return [self.all[-1]]


class Mortal(ScriptedEngine):
    is_dead = False

    async def read(self, batch: Batch) -> BatchRead:
        read = await super().read(batch)
        if any(13 in piece.ids for piece in batch.pieces):
            self.is_dead = True
            self.kill()
            raise EngineUnavailable
        return read


async def test_a_prompt_that_kills_engines_is_found_and_refused_and_the_others_go_on() -> None:
    engines = Engines()
    batcher = Batcher(engines, BatchLimits(max_wait_ms=1))
    batcher.start()

    async def ask(*ids: int) -> object:
        (outcome,) = await asyncio.gather(batcher.read([prompt(*ids)]), return_exceptions=True)
        return type(outcome) if isinstance(outcome, Exception) else outcome[0].reading

    async def round_of(*asked: int) -> list[object]:
        return await asyncio.gather(*(ask(n) for n in asked))

    assert await round_of(1, 13, 2) == [EngineUnavailable] * 3
    assert await round_of(1, 2, 13) == [SAFE, SAFE, EngineUnavailable]
    assert await round_of(13, 1, 2, 3) == [PromptQuarantined, SAFE, SAFE, SAFE]
    assert len(engines.all) == 3
    assert [len(batch) for batch in engines.all[1].batches] == [1, 1, 1]
    assert [len(batch) for batch in engines.all[2].batches] == [3]
    await batcher.stop()


async def test_a_long_prompt_that_kills_with_its_last_piece_is_found_too() -> None:
    engines = Engines()
    batcher = Batcher(engines, BatchLimits(max_wait_ms=1, max_batch_tokens=256))
    batcher.start()
    deadly = prompt(*[1] * 600, 13)
    for expected in (EngineUnavailable, EngineUnavailable, PromptQuarantined):
        with pytest.raises(expected):
            await batcher.read([deadly])
    assert len(engines.all) == 3
    await batcher.stop()


async def test_who_waits_for_a_list_is_not_blamed_for_a_pass_that_goes_alone() -> None:
    def delay(read: BatchRead) -> BatchRead:
        is_late = len(engines.all) == 2 and UNSAFE in read.readings
        return replace(read, keys=(), readings=()) if is_late else read

    engines = Engines(lambda: Mortal(device="cuda", seconds=lambda _: 0.01, spoil=delay))
    batcher = Batcher(engines, BatchLimits(max_wait_ms=0))
    batcher.start()
    with pytest.raises(EngineUnavailable):
        await batcher.read([prompt(13)])
    await batcher.read([prompt(0)])  # or nothing is handed over early
    late = asyncio.create_task(batcher.read([prompt(666)]))
    await settle()
    calls = late, batcher.read([prompt(13)])
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineUnavailable] * 2
    with pytest.raises(PromptQuarantined):
        await batcher.read([prompt(13)])
    await batcher.read([prompt(666), prompt(1)])
    assert [len(batch) for batch in engines.all[2].batches] == [2]
    await batcher.stop()


async def test_a_reading_may_come_with_the_answer_to_a_later_pass() -> None:
    held: list[tuple[int, Reading]] = []

    def delay(read: BatchRead) -> BatchRead:
        if len(engine.batches) == 1:
            return read
        held.extend(zip(read.keys, read.readings, strict=True))
        if len(held) == 1:
            return replace(read, keys=(), readings=())
        return replace(read, keys=tuple(k for k, _ in held), readings=tuple(r for _, r in held))

    engine = ScriptedEngine(device="cuda", seconds=lambda _: 0.01, spoil=delay)
    async with running(engine, max_wait_ms=0, max_batch_requests=1) as batcher:
        await batcher.read([prompt(0)])  # or nothing is handed over early
        calls = [batcher.read([prompt(n)]) for n in (666, 1)]
        (late,), (soon,) = await asyncio.gather(*calls)
    assert (late.reading, soon.reading) == (UNSAFE, SAFE)
    assert late.inference_ms > soon.inference_ms


async def test_an_engine_that_answers_for_a_pass_that_is_still_to_come_is_not_believed() -> None:
    def shift(read: BatchRead) -> BatchRead:
        is_first_of_two = len(engine.batches) == 3 and len(engine.read_prompts) == 2
        return replace(read, keys=(read.keys[0] + 1,)) if is_first_of_two else read

    engine = ScriptedEngine(device="cuda", seconds=lambda _: 0.01, spoil=shift)
    async with running(engine, max_wait_ms=0, max_batch_requests=1) as batcher:
        await batcher.read([prompt(0)])  # or nothing is handed over early
        calls = [batcher.read([prompt(n)]) for n in (666, 1)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineUnavailable] * 2
