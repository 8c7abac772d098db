"""What bulk work and a greedy caller do to the waits of others, on a real engine over gRPC.

    PYTHONPATH=tests python tests/benchmarks/bench_lanes.py --model FOLDER [--dtype bfloat16]

Twenty tenants together at a share of saturation, Poisson: alone, beside a stream of bulk work that
never ends, beside one more tenant who sends a hundred times what each of them does. In turn, with
the same calls; prints p99 of the twenty from when a call was due to its answer. What happens in the
first seconds, until it is known who asks for more than its share, is printed apart.
"""

import argparse
import asyncio
import itertools
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from credentials import entry, write_access
from serving import serving

from guard_service.access.key import NewKey, make_key
from guard_service.benchmark.measure import Plan, judged_of
from guard_service.benchmark.target import Target, messages_of, open_running
from guard_service.benchmark.traffic import Answered, Run, send_all, send_poisson
from guard_service.client import AsyncGuardClient, Message
from guard_service.conversation import Conversation

NUM_CALLERS = 20
GREED = 100
FOREVER_S = 1e6
NUM_IN_FLIGHT = 64  # enough to fill every pass


@dataclass
class Desk:
    """Who calls, what they send, and how many calls a second the server can do."""

    callers: Sequence[Target]
    greedy: Target
    bulk: AsyncGuardClient
    judged: Sequence[Conversation]
    begins_s: float
    seconds: float
    saturation: float = 0.0
    num_others: int = 0  # calls of the company that were answered

    async def call_all(self, share: float, seed: int, for_s: float) -> list[Run]:
        """Each caller sends its own conversations, at its own times."""
        rate = share * self.saturation / NUM_CALLERS
        return await asyncio.gather(
            *(
                send_poisson(
                    caller.ask, self.judged[number::NUM_CALLERS], rate, for_s, seed + number
                )
                for number, caller in enumerate(self.callers)
            )
        )

    async def nothing(self, share: float, seed: int) -> None:
        await asyncio.Event().wait()

    async def work_in_bulk(self, share: float, seed: int) -> None:
        def endless() -> Iterator[list[Message]]:
            return map(messages_of, itertools.cycle(self.judged))

        async for item in self.bulk.moderate_batch(each_in_turn(endless())):
            item.result()
            self.num_others += 1

    async def be_greedy(self, share: float, seed: int) -> None:
        async def ask(judged: Conversation) -> Answered:
            answered = await self.greedy.ask(judged)
            self.num_others += 1
            return answered

        rate = GREED * share * self.saturation / NUM_CALLERS
        await send_poisson(ask, self.judged, rate, FOREVER_S, seed - 1)


async def each_in_turn(values: Iterator[list[Message]]) -> AsyncIterator[list[Message]]:
    for value in values:
        yield value
        await asyncio.sleep(0)


async def beside(
    desk: Desk, company: Callable[[float, int], Awaitable[None]], share: float, seed: int
) -> tuple[list[Run], list[Run], int]:
    """The callers' runs while the company begins and is at work, and what it then gets done."""
    at_work = asyncio.ensure_future(company(share, seed))
    first = await desk.call_all(share, seed + 500, desk.begins_s)
    desk.num_others = 0
    runs = await desk.call_all(share, seed, desk.seconds)
    num_others = desk.num_others
    at_work.cancel()
    with suppress(asyncio.CancelledError):
        await at_work
    return first, runs, num_others


@dataclass
class Found:
    """The callers' rounds beside one company."""

    p99s_ms: list[float] = field(default_factory=list)
    first_p99s_ms: list[float] = field(default_factory=list)
    num: int = 0
    num_failed: int = 0
    num_others: int = 0

    def add(self, first: Sequence[Run], runs: Sequence[Run], num_others: int) -> None:
        self.first_p99s_ms.append(p99_ms(first))
        self.p99s_ms.append(p99_ms(runs))
        self.num += sum(len(run.calls) for run in runs)
        self.num_failed += sum(len(run.calls) - len(run.answers) for run in runs)
        self.num_others += num_others


def p99_ms(runs: Sequence[Run]) -> float:
    waits = [call.latency_ms for run in runs for call in run.calls if call.answered]
    return statistics.quantiles(waits, n=100)[98]


def listed(values: Sequence[float]) -> str:
    return " ".join(f"{value:.0f}" for value in values)


async def compare(desk: Desk, share: float, num_rounds: int) -> None:
    companies = {
        "alone": desk.nothing,
        "bulk saturated": desk.work_in_bulk,
        f"one caller at {GREED}x": desk.be_greedy,
    }
    found = {name: Found() for name in companies}
    for seed in range(0, num_rounds * 1000, 1000):
        for name, company in companies.items():
            found[name].add(*await beside(desk, company, share, seed))
    could = desk.saturation * desk.seconds * num_rounds
    for name, one in found.items():
        ratios = [
            mine / alone for mine, alone in zip(one.p99s_ms, found["alone"].p99s_ms, strict=True)
        ]
        print(
            f"{share:.0%} {name}: p99 {listed(one.p99s_ms)} ms (at first "
            f"{listed(one.first_p99s_ms)}), ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"{one.num_failed} of {one.num} failed; the other gets {one.num_others / could:.0%}",
            flush=True,
        )


async def measure(target: str, keys: Sequence[NewKey], asked: argparse.Namespace) -> None:
    ((_, judged),) = judged_of(
        Plan(workloads=(asked.workload,), num_requests=asked.conversations), asked.model
    )
    async with AsyncExitStack() as stack:
        greedy, *callers = [
            await stack.enter_async_context(open_running(target, api_key=key.text))
            for key in keys[1:]
        ]
        bulk = AsyncGuardClient(target, api_key=keys[0].text, timeout=600)
        await stack.enter_async_context(bulk)
        desk = Desk(callers, greedy, bulk, judged, asked.begins_s, asked.seconds)
        await send_all(greedy.ask, judged[:NUM_IN_FLIGHT], NUM_IN_FLIGHT)
        run = await send_all(greedy.ask, judged[: asked.saturating], NUM_IN_FLIGHT)
        desk.saturation = len(run.answers) / run.seconds
        print(f"saturation {desk.saturation:.1f} calls a second", flush=True)
        for share in asked.shares:
            await compare(desk, share, asked.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--workload", default="W100")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3, 0.5])
    parser.add_argument("--begins-s", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--conversations", type=int, default=2000)
    parser.add_argument("--saturating", type=int, default=400)
    asked = parser.parse_args()
    keys = [make_key() for _ in range(2 + NUM_CALLERS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        entries = [entry(key, f"tenant-{number}") for number, key in enumerate(keys)]
        access = str(write_access(folder / "access.json", *entries))
        settings = {"GUARD_ACCESS_FILE": access, "GUARD_DTYPE": asked.dtype}
        with serving(folder, "--model", str(asked.model), **settings) as served:
            asyncio.run(measure(served.target, keys, asked))


if __name__ == "__main__":
    main()
