"""What bulk work and a greedy caller do to the waits of others, in virtual time.

    PYTHONPATH=tests python tests/benchmarks/bench_scheduler.py [--seconds 60] [--slower 1]

The real batcher on an engine whose passes take a + c x tokens (an 8B model on an H200 as it is
estimated, or `--slower` times that), with seeded Poisson arrivals. Prints p99 of an interactive
call's wait, in virtual ms.
"""

import argparse
import asyncio
import math
import random
import statistics
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from scripted import ScriptedEngine, in_virtual_time

from guard_service.batching.batcher import Batcher
from guard_service.batching.entry import Caller, Lane
from guard_service.batching.scheduler import BatchLimits
from guard_service.prompt import Prefix, Prompt

FIXED_S, TOKEN_S = 0.0035, 0.0000254
LIMITS = BatchLimits()
PREFIX = Prefix((0,), ("S1",))
NUM_CALLERS = 20
MAX_GREEDY = 384  # calls of one caller that the door lets in
BULK_ITEMS = 256  # in flight: what the door lets in


@dataclass(frozen=True)
class Speed:
    slower: float

    def seconds(self, num_tokens: int) -> float:
        return self.slower * (FIXED_S + TOKEN_S * num_tokens)

    @property
    def saturation(self) -> float:
        """Tokens a second, of full passes."""
        return LIMITS.max_batch_tokens / self.seconds(LIMITS.max_batch_tokens)


@dataclass(frozen=True)
class Mix:
    """Lengths of conversations in tokens; the tail of the prompt and the draft come on top."""

    name: str
    median: float
    sigma: float

    def draw(self, draw: random.Random) -> int:
        length = self.median * math.exp(self.sigma * draw.gauss(0, 1))
        return round(min(max(length, 20), 2000)) + 63

    @property
    def mean_tokens(self) -> float:
        draw = random.Random(0)
        return statistics.fmean(self.draw(draw) for _ in range(20_000))


MIXES = (Mix("W100", 100, 0.0), Mix("Wmix", 150, 0.8))


@dataclass
class Load:
    """Callers on one batcher, and how long each of their calls took."""

    batcher: Batcher
    seed: int
    mix: Mix
    speed: Speed
    waits_ms: dict[str, list[float]] = field(default_factory=dict)
    unique: "count[int]" = field(default_factory=count)

    async def call(self, caller: Caller, num_tokens: int) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        ids = (next(self.unique), *range(num_tokens - 1))
        await self.batcher.read([Prompt(PREFIX, ids)], caller)
        self.waits_ms.setdefault(caller.name, []).append((clock() - started) * 1000)

    async def poisson(self, caller: Caller, share: float, max_calls: int = 10_000) -> None:
        """Calls that come whether or not earlier ones are answered, at a share of saturation."""
        draw = random.Random(f"{self.seed} {caller.name}")  # the same calls with and without
        rate = share * self.speed.saturation / self.mix.mean_tokens
        places = asyncio.Semaphore(max_calls)
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(draw.expovariate(rate))
                num_tokens = self.mix.draw(draw)
                if not places.locked():
                    await places.acquire()
                    task = group.create_task(self.call(caller, num_tokens))
                    task.add_done_callback(lambda _: places.release())

    async def saturating(self, caller: Caller, number: int) -> None:
        draw = random.Random(f"{self.seed} bulk {number}")
        while True:
            await self.call(caller, self.mix.draw(draw))


@asynccontextmanager
async def running(seed: int, mix: Mix, speed: Speed, device: str) -> AsyncIterator[Load]:
    engine = ScriptedEngine(seconds=speed.seconds, device=device)
    engine.batches = Forgetful()
    batcher = Batcher(lambda: [engine], LIMITS)
    batcher.start()
    yield Load(batcher, seed, mix, speed)
    await batcher.stop()


class Forgetful(list[Any]):
    def append(self, _: Any) -> None:
        pass


async def simulate(
    seed: int, mix: Mix, asked: argparse.Namespace, share: float, bulk: bool, greedy: float
) -> dict[str, list[float]]:
    async with running(seed, mix, Speed(asked.slower), asked.device) as load:
        names = [f"caller {n}" for n in range(NUM_CALLERS)]
        work: list[Coroutine[Any, Any, None]] = [
            load.poisson(Caller(name=name), share / NUM_CALLERS) for name in names
        ]
        if bulk:
            work += [load.saturating(Caller(Lane.BULK, "bulk"), n) for n in range(BULK_ITEMS)]
        if greedy:
            one = share / NUM_CALLERS
            work.append(load.poisson(Caller(name="greedy"), one * greedy, MAX_GREEDY))
        with suppress(TimeoutError):
            async with asyncio.timeout(asked.seconds), asyncio.TaskGroup() as group:
                for one_caller in work:
                    group.create_task(one_caller)
    return load.waits_ms


def p99(waits: dict[str, list[float]]) -> float:
    return statistics.quantiles(
        [wait for name, some in waits.items() if name.startswith("caller") for wait in some], n=100
    )[98]


def compare(title: str, arguments: argparse.Namespace, mix: Mix, share: float, **more: Any) -> None:
    plain = {"bulk": False, "greedy": 0.0}
    with_ms, without_ms, num_more = [], [], 0
    for seed in range(arguments.seeds):
        run = (seed, mix, arguments, share)
        without_ms.append(p99(in_virtual_time(simulate(*run, **plain))))
        waits = in_virtual_time(simulate(*run, **(plain | more)))
        with_ms.append(p99(waits))
        num_more += len(waits.get("bulk", ())) + len(waits.get("greedy", ()))
    ratios = sorted(a / b for a, b in zip(with_ms, without_ms, strict=True))
    possible = Speed(arguments.slower).saturation * arguments.seconds * arguments.seeds
    gets = num_more * mix.mean_tokens / possible
    print(
        f"{mix.name} {title:18} {share:4.0%}: p99 {statistics.median(without_ms):6.1f} ms without,"
        f" {statistics.median(with_ms):6.1f} ms with: x{statistics.median(ratios):.2f}"
        f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" + f", which gets {gets:.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--slower", type=float, default=1)
    parser.add_argument("--device", default="cuda:0")
    arguments = parser.parse_args()
    for mix in MIXES:
        for share in (0.3, 0.5, 0.8):
            compare("bulk saturated", arguments, mix, share, bulk=True)
        for share in (0.3, 0.5, 0.8):
            compare("one caller at 100x", arguments, mix, share, greedy=100.0)


if __name__ == "__main__":
    main()
