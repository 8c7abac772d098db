"""Tells an engine that hangs, or answers what was not asked, from one that is busy; kills it.

A killed engine fails its passes at once and is started again, as after any death.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from guard_service.engine.message import Batch, BatchRead, Engine, Loaded
from guard_service.errors import EngineUnavailable, GuardError

log = logging.getLogger(__name__)

T = TypeVar("T")

# Time is counted in slices, so that a pause of this very process (SIGSTOP, a migration) is at most
# one slice of the engine's time.
_NUM_SLICES = 8
# A first pass may compile kernels, and nothing is known yet of how fast the device is: it has so
# many times the shortest limit, and what the slowest device worth waiting for would take.
_UNKNOWN_FACTOR = 6
_SLOWEST_CUDA, _SLOWEST_CPU = 1e12, 2e10  # operations a second
# Known prompts are read again at every such heartbeat: a device can go wrong while it runs.
_BEATS_PER_CHECK = 12


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an engine may be silent before it counts as hung."""

    min_pass_s: float = 10.0  # for any pass, and for a heartbeat whose turn has come
    pass_factor: float = 10.0  # times what the pass was estimated to take
    heartbeat_s: float = 5.0  # between two
    start_s: float = 900.0  # to load and to read known prompts

    def pass_limit_s(self, expected_s: float, loaded: Loaded, num_tokens: int) -> float:
        """For passes of so many tokens that should take so long together; 0: nothing is known."""
        if expected_s:
            return max(self.min_pass_s, self.pass_factor * expected_s)
        # Two operations for each weight and token, and two bytes for most weights.
        per_s = _SLOWEST_CUDA if loaded.device.startswith("cuda") else _SLOWEST_CPU
        return max(self.min_pass_s * _UNKNOWN_FACTOR, loaded.num_weight_bytes * num_tokens / per_s)


DEFAULT_PATIENCE = Patience()


async def within(limit_s: float, work: Awaitable[T]) -> T:
    """What `work` returns; TimeoutError once it has taken longer than `limit_s`."""
    task = asyncio.ensure_future(work)
    try:
        for _ in range(_NUM_SLICES):
            await asyncio.wait({task}, timeout=limit_s / _NUM_SLICES)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    raise TimeoutError


async def read_watched(engine: Engine, batch: Batch, limit_s: float) -> BatchRead:
    """Read a batch; EngineUnavailable, and the engine's end, if it hangs."""
    try:
        return await within(limit_s, engine.read(batch))
    except TimeoutError:
        _kill(engine, "the engine hung and was killed", "engine_hung")


def check_rows(engine: Engine, read: BatchRead, owed: Collection[int], may_owe_more: bool) -> None:
    """EngineUnavailable, and the engine's end, if it answers what was not asked, or too little.

    `owed` are the keys that it may answer now, in the order in which they were asked, which
    answers keep.
    """
    answered = set(read.keys)
    expected = tuple(key for key in owed if key in answered)
    is_whole = may_owe_more or len(answered) == len(owed)
    if read.keys != expected or len(read.readings) != len(expected) or not is_whole:
        _kill(engine, "the engine answered other rows than were asked", "engine_rows_wrong")


async def watch(
    engine: Engine, patience: Patience, check: Callable[[Engine], Awaitable[None]]
) -> None:
    """Kill the engine once it misses a heartbeat or reads a known prompt wrongly; until then wait.

    An engine at work answers between passes, which have limits of their own.
    """
    num_beats = 0
    while True:
        await asyncio.sleep(patience.heartbeat_s)
        num_beats += 1
        try:
            await engine.ping(patience.min_pass_s)
            if num_beats % _BEATS_PER_CHECK == 0:
                await within(patience.start_s, check(engine))
        except TimeoutError:
            _kill(engine, "the engine missed a heartbeat", "engine_hung")
        except EngineUnavailable:
            return  # it is dead already
        except GuardError as error:
            _kill(engine, type(error).__name__, "engine_check_failed")


def _kill(engine: Engine, problem: str, action: str) -> NoReturn:
    log.error(problem, extra={"action": action, "pid": engine.pid})
    engine.kill()
    raise EngineUnavailable(problem)
