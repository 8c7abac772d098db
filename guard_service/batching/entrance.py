"""Which interactive calls are let in: those that would soon be answered. Imports no gRPC."""

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice

from guard_service.batching.arrivals import Arrivals
from guard_service.batching.backlog import Backlog
from guard_service.batching.crowd import Crowd, Prospect
from guard_service.batching.entry import Arrival
from guard_service.batching.fair_queue import FairQueue
from guard_service.batching.scheduler import BatchLimits

# A crowd stays from so long on, or from so many full passes on where those take longer.
_GRACE_S = 0.25
_GRACE_PASSES = 4
_FULL = 1.5  # mean calls less than a pass can take
_MAX_GONE = 64  # passes
_KEPT = 0.95  # weight of a call against the one after it


@dataclass(slots=True)
class Way:
    """How long a call takes from the entrance until it asks."""

    mean_s: float = 0.0
    spread_s: float = 0.0

    @property
    def at_most_s(self) -> float:
        """Nearly all; who has less time left comes too late."""
        return self.mean_s + 2 * self.spread_s

    def add(self, took_s: float) -> None:
        off_s = took_s - self.mean_s
        self.mean_s += off_s * (1 - _KEPT)
        self.spread_s += (abs(off_s) - self.spread_s) * (1 - _KEPT)


class Entrance:
    """Calls let in are counted as waiting at once, although their prompts are still to be made."""

    def __init__(
        self, limits: BatchLimits, lane: FairQueue, usable: Callable[[], Sequence[Backlog]]
    ) -> None:
        self._max_tokens = limits.max_batch_tokens
        self._lane = lane
        self._usable = usable
        self._crowd = Crowd(limits.max_queue_passes)
        self._arrivals = Arrivals()
        self._num_on_the_way = 0
        self._way = Way()
        self._call_tokens = 0.0  # that it then adds to the queue, on average

    def enter(self, name: str) -> Arrival | None:
        """Let one more call of this caller in; None where it would not soon be answered."""
        now_s, backlogs = asyncio.get_running_loop().time(), self._usable()
        pass_s = min((b.predict_s(self._max_tokens) for b in backlogs), default=0.0)
        grace_s = max(_GRACE_S, _GRACE_PASSES * pass_s)
        is_modest = self._is_modest(now_s, name, len(backlogs) / pass_s if pass_s else math.inf)
        calls_per_s = self._arrivals.come(now_s, name, grace_s)
        ready_s = [0.0 if b.is_idle else b.next_s - now_s for b in backlogs]
        begins = _begins(ready_s or [0.0], pass_s)
        prospect = self._prospect(begins, max(len(backlogs), 1), calls_per_s, is_modest)
        if not self._crowd.admits(now_s, grace_s, prospect):
            return None
        self._num_on_the_way += 1
        return Arrival(partial(self._has_arrived, now_s))

    def saw_pass(self, num_tokens: int) -> None:
        """Learn from a pass: it is full where one more call would hardly have gone with it."""
        self._crowd.saw_pass((num_tokens + _FULL * self._call_tokens) / self._max_tokens)

    def learn(self, num_tokens: int) -> None:
        """Of a call: how many tokens it added to the queue."""
        weight = 1 - _KEPT if self._call_tokens else 1.0
        self._call_tokens += (num_tokens - self._call_tokens) * weight

    def _has_arrived(self, since_s: float) -> None:
        self._num_on_the_way -= 1
        self._way.add(asyncio.get_running_loop().time() - since_s)

    def _is_modest(self, now_s: float, name: str, passes_per_s: float) -> bool:
        """Whether the caller has little waiting, and asks for little."""
        possible_per_s = passes_per_s * self._max_tokens / max(self._call_tokens, 1.0)
        has_little = self._lane.tokens_of(name) <= self._max_tokens
        return has_little and self._arrivals.is_modest(now_s, name, possible_per_s)

    def _prospect(
        self, begins: Iterator[float], num_engines: int, calls_per_s: float, is_modest: bool
    ) -> Prospect:
        # Prompts seldom fill a pass to the last token, and one that is cut for it takes two.
        room = self._max_tokens - min(self._call_tokens, self._max_tokens / 4) / 2
        call = self._call_tokens / room
        waiting = self._lane.num_tokens / room + self._num_on_the_way * call
        for begins_s in islice(begins, _MAX_GONE):
            if not 0 < begins_s < self._way.at_most_s:
                break
            waiting = max(waiting - 1, 0.0)  # gone when the call asks
        num_ahead = max(math.ceil(waiting + call) - 1, 0)  # passes that are full without it
        begins_s = next(islice(begins, num_ahead - 1, None)) if num_ahead else begins_s
        return Prospect(
            num_waiting=(waiting + call) / num_engines if waiting else 0.0,
            spare=num_ahead + 1 - waiting,
            num_coming=max(begins_s - self._way.at_most_s, 0.0) * calls_per_s * call,
            is_modest=is_modest,
        )


def _begins(ready_s: Sequence[float], pass_s: float) -> Iterator[float]:
    """In how many seconds each of the next passes begins, if all are full."""
    return (ready + n * pass_s for n in count() for ready in sorted(ready_s))
