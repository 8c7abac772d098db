"""The nouns of the queue: who asks, what waits for the engine, and what comes back."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from guard_service.errors import GuardError
from guard_service.prompt import Prompt
from guard_service.verdict import Reading


class Lane(Enum):
    INTERACTIVE = "interactive"  # someone waits for the answer
    BULK = "bulk"


@dataclass(eq=False, slots=True)
class Arrival:
    """A call that was let in and is expected to ask, until it does or has ended without."""

    on_end: Callable[[], None] = lambda: None
    has_ended: bool = False

    def end(self) -> None:
        if not self.has_ended:
            self.has_ended = True
            self.on_end()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Callers share a lane by weight; nothing that one asked is reused for another."""

    lane: Lane = Lane.INTERACTIVE
    name: str = ""
    weight: float = 1.0
    deadline_s: float = math.inf  # on the event loop's clock
    arrival: Arrival | None = field(default=None, compare=False, repr=False)


ANYONE = Caller()


@dataclass(frozen=True, slots=True)
class Answer:
    """A reading, and how it came about; `batch_size` 0: without a pass, from the cache."""

    reading: Reading
    queue_ms: float
    inference_ms: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class Asker:
    """One who waits for an entry's reading."""

    answer: "asyncio.Future[Answer]"
    since_s: float
    deadline_s: float


@dataclass(eq=False, slots=True, weakref_slot=True)
class Entry:
    """One prompt on its way through an engine; each stage fills in what it did."""

    key: int
    digest: bytes
    prompt: Prompt
    caller: Caller
    since_s: float
    askers: list[Asker]
    goes_alone: bool = False  # an engine died over a pass that it was in
    num_sent: int = 0  # tokens that passes have taken so far
    engine: int | None = None  # the one that holds them
    started_s: float = 0.0
    inference_ms: float = 0.0
    batch_size: int = 0  # prompts in the pass that takes its last token

    @property
    def num_left(self) -> int:
        return len(self.prompt.ids) - self.num_sent

    @property
    def is_wanted(self) -> bool:
        """False once everyone has an answer or has left."""
        return any(not asker.answer.done() for asker in self.askers)

    @property
    def deadline_s(self) -> float:
        """When the most patient of those who still wait gives up."""
        return max((a.deadline_s for a in self.askers if not a.answer.done()), default=-math.inf)

    def finish(self, reading: Reading) -> None:
        for asker in self.askers:
            if not asker.answer.done():
                queue_ms = max(self.started_s - asker.since_s, 0.0) * 1000
                answer = Answer(reading, queue_ms, self.inference_ms, self.batch_size)
                asker.answer.set_result(answer)

    def fail(self, error: GuardError) -> None:
        for asker in self.askers:
            if not asker.answer.done():
                asker.answer.set_exception(error)
