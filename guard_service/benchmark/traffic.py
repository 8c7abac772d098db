"""Sends conversations: all at once with so many in flight, or as a Poisson stream of callers."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from guard_service.conversation import Conversation
from guard_service.errors import GuardError


@dataclass(frozen=True, slots=True)
class Answered:
    """What one call came back with."""

    unsafe_score: float
    new_tokens: int  # of the prompt, behind the shared prefix
    prefix_tokens: int
    pass_size: int  # requests in the same pass


Ask = Callable[[Conversation], Awaitable[Answered]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call; from when it was due until it was answered. None: it failed."""

    latency_ms: float
    answered: Answered | None


@dataclass(frozen=True, slots=True)
class Run:
    calls: tuple[Call, ...]
    seconds: float

    @property
    def answers(self) -> list[Answered]:
        return [call.answered for call in self.calls if call.answered is not None]

    @property
    def scores(self) -> list[float | None]:
        """One for each call, in order."""
        return [call.answered.unsafe_score if call.answered else None for call in self.calls]


async def send_all(ask: Ask, judged: Sequence[Conversation], num_in_flight: int) -> Run:
    """Closed loop: the next call starts when one comes back."""
    places = asyncio.Semaphore(num_in_flight)

    async def call(one: Conversation) -> Call:
        async with places:
            return await _call(ask, one, time.perf_counter())

    started = time.perf_counter()
    calls = await asyncio.gather(*(call(one) for one in judged))
    return Run(tuple(calls), time.perf_counter() - started)


async def send_poisson(
    ask: Ask, judged: Sequence[Conversation], rate: float, duration_s: float, seed: int = 0
) -> Run:
    """Open loop: `rate` calls a second come, whether others were answered or not."""
    rng, started = random.Random(seed), time.perf_counter()
    due, calls = started, list[asyncio.Task[Call]]()
    for one in itertools.cycle(judged):
        due += rng.expovariate(rate)
        if due > started + duration_s:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        calls.append(asyncio.create_task(_call(ask, one, due)))
    done = await asyncio.gather(*calls)
    return Run(tuple(done), time.perf_counter() - started)


async def _call(ask: Ask, one: Conversation, due: float) -> Call:
    """Latency counts from when the call was due: a late sender must not hide a slow server."""
    try:
        answered: Answered | None = await ask(one)
    except GuardError:
        answered = None
    return Call((time.perf_counter() - due) * 1000, answered)
