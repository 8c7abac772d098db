"""Calls that come to the real batcher in virtual time, on engines that take a + c x tokens."""

import asyncio
import random
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from scripted import ScriptedEngine, in_virtual_time, prompt

from guard_service.batching.batcher import Batcher
from guard_service.batching.entry import Arrival, Caller
from guard_service.batching.scheduler import BatchLimits

CALL_TOKENS = 172
ROOM = BatchLimits().max_batch_tokens


@dataclass(frozen=True)
class Machine:
    fixed_s: float
    token_s: float
    device: str
    num_engines: int = 1

    def seconds(self, num_tokens: int) -> float:
        return self.fixed_s + self.token_s * num_tokens

    @property
    def calls_per_s(self) -> float:
        return self.num_engines * ROOM / self.seconds(ROOM) / CALL_TOKENS


CPU = Machine(0.010, 0.00006, "cpu")
GPU = Machine(0.0035, 0.0000254, "cuda:0")  # an 8B model on an H200, as it is estimated
SLOW = Machine(0.010, 0.00060, "cpu")  # a pass of two thirds of a second: large models on a CPU
TWO_GPUS = Machine(0.0035, 0.0000254, "cuda:0", 2)


@dataclass
class Callers:
    """Who call an entrance at random moments, whether or not earlier calls are answered."""

    batcher: Batcher
    calls: list[tuple[float, float]] = field(default_factory=list)  # when, and for how many ms
    num_refused: int = 0
    call_tokens: int = CALL_TOKENS
    draw: random.Random = field(default_factory=lambda: random.Random(1))
    way_s: float = 0.002  # while the prompt is made

    async def call(self, name: str) -> None:
        clock = asyncio.get_running_loop().time
        started_s = clock()
        if not (arrival := self.batcher.entrance.enter(name)):
            self.num_refused += 1
            return
        await asyncio.sleep(self.way_s * self.draw.uniform(0.5, 1.5))
        ids = (self.draw.getrandbits(31), *range(self.call_tokens - 1))
        await self.batcher.read([prompt(*ids)], Caller(name=name, arrival=arrival))
        self.calls.append((started_s, (clock() - started_s) * 1000))

    async def come(
        self, per_s: float, for_s: float, name: Callable[[random.Random], str] = lambda _: "a"
    ) -> None:
        until_s = asyncio.get_running_loop().time() + for_s
        async with asyncio.TaskGroup() as calls:
            while asyncio.get_running_loop().time() < until_s:
                calls.create_task(self.call(name(self.draw)))
                await asyncio.sleep(self.draw.expovariate(per_s))

    def waits_ms(self, from_s: float = 0.0) -> list[float]:
        return [wait_ms for started_s, wait_ms in self.calls if started_s >= from_s]

    def p99_ms(self, from_s: float = 0.0) -> float:
        return statistics.quantiles(self.waits_ms(from_s), n=100)[98]


@asynccontextmanager
async def running(machine: Machine) -> AsyncIterator[Batcher]:
    engines = [
        ScriptedEngine(seconds=machine.seconds, device=machine.device)
        for _ in range(machine.num_engines)
    ]
    batcher = Batcher(lambda: engines, BatchLimits())
    batcher.start()
    yield batcher
    await batcher.stop()


def hundred(draw: random.Random) -> str:
    return f"caller {draw.randrange(100)}"


def one(_: random.Random) -> str:
    return "a"


@pytest.mark.parametrize("name", [one, hundred])
@pytest.mark.parametrize("machine", [CPU, GPU, TWO_GPUS], ids=["cpu", "gpu", "two gpus"])
def test_ten_times_more_than_can_be_done_costs_neither_goodput_nor_patience(
    machine: Machine, name: Callable[[random.Random], str]
) -> None:
    async def scenario() -> None:
        async with running(machine) as batcher:
            unloaded, flood, after = (Callers(batcher) for _ in range(3))
            rate, part_s = machine.calls_per_s, 80 / machine.calls_per_s
            await unloaded.come(rate * 0.2, 30 * part_s, name)
            began_s = asyncio.get_running_loop().time()
            await flood.come(rate * 10, 8 * part_s, name)
            await asyncio.sleep(0.2)
            await after.come(rate * 0.5, 10 * part_s, name)
            assert len(flood.calls) > 0.92 * 8 * part_s * rate
            assert max(flood.waits_ms()) < 16 * machine.seconds(ROOM) * 1000  # the burst
            assert flood.p99_ms(began_s + 2 * part_s) < 2 * unloaded.p99_ms()
            assert after.num_refused < 0.02 * len(after.calls)

    in_virtual_time(scenario())


def test_a_quiet_caller_is_let_in_while_another_floods_and_waits_no_longer() -> None:
    async def scenario() -> None:
        async with running(CPU) as batcher:
            flood, quiet = Callers(batcher), Callers(batcher)
            async with asyncio.TaskGroup() as both:
                both.create_task(quiet.come(0.3 * CPU.calls_per_s, 12, lambda _: "quiet"))
                await asyncio.sleep(4)
                both.create_task(flood.come(10 * CPU.calls_per_s, 8))
            assert quiet.num_refused < 0.01 * len(quiet.calls)  # in the first moment
            assert quiet.p99_ms(4) < 2.1 * CPU.seconds(ROOM) * 1000
            assert len(flood.calls) > 0.5 * 8 * CPU.calls_per_s

    in_virtual_time(scenario())


def test_callers_of_a_slow_engine_who_ask_for_little_are_let_in_while_another_floods() -> None:
    """Each of twenty calls every six seconds, now and then twice in one."""
    twenty = [f"caller {number}" for number in range(20)]

    async def scenario() -> None:
        async with running(SLOW) as batcher:
            flood, quiet = Callers(batcher), Callers(batcher)
            async with asyncio.TaskGroup() as both:
                both.create_task(
                    quiet.come(0.3 * SLOW.calls_per_s, 240, lambda draw: draw.choice(twenty))
                )
                await asyncio.sleep(20)
                both.create_task(flood.come(1.5 * SLOW.calls_per_s, 200))
            assert len(quiet.calls) > 500
            assert quiet.num_refused < 0.01 * len(quiet.calls)

    in_virtual_time(scenario())


def test_calls_on_the_way_count_as_waiting_until_they_end() -> None:
    async def scenario() -> None:
        async with running(CPU) as batcher:
            await Callers(batcher).come(10 * CPU.calls_per_s, 1)  # from now on it is a crowd
            entered: list[Arrival] = []
            while arrival := batcher.entrance.enter("a"):
                entered.append(arrival)
            assert len(entered) < 3 * ROOM / CALL_TOKENS
            assert batcher.entrance.enter("a") is None
            for arrival in entered:
                arrival.end()
                arrival.end()
            assert batcher.entrance.enter("b")

    in_virtual_time(scenario())


def test_prompts_longer_than_a_pass_are_no_crowd_where_nothing_waits() -> None:
    async def scenario() -> None:
        async with running(CPU) as batcher:
            callers = Callers(batcher, call_tokens=4 * ROOM)
            for _ in range(30):
                await callers.call("a")
            assert len(callers.calls) == 30

    in_virtual_time(scenario())
