"""How many calls came of late, and who asks for more than its part."""

import math
from dataclasses import dataclass

# Of a caller, against that of all: long enough that chance makes none of many equal callers look
# modest, and none who asks for little look greedy.
_LONGER = 8
_ABSENT = 0.05  # calls of late: with fewer a caller is forgotten
_TIDY_S = 1.0


@dataclass(slots=True)
class Recent:
    """A count in which older ones count ever less: about that of the last `memory_s`."""

    memory_s: float
    born_s: float
    count: float = 0.0
    since_s: float = -math.inf

    def at(self, now_s: float) -> float:
        return self.count * math.exp((self.since_s - now_s) / self.memory_s)

    def add(self, now_s: float) -> None:
        self.count, self.since_s = self.at(now_s) + 1, now_s

    def per_s(self, now_s: float) -> float:
        # The rate of a new one is not known from its first two calls.
        age_s = max(now_s - self.born_s, self.memory_s / 2)
        return self.at(now_s) / self.memory_s / -math.expm1(-age_s / self.memory_s)


class Arrivals:
    def __init__(self) -> None:
        self._all = Recent(1.0, -math.inf)
        self._callers: dict[str, Recent] = {}
        self._tidied_s = -math.inf

    def come(self, now_s: float, name: str, memory_s: float) -> float:
        """Count a call, let in or not; how many a second came in about the last `memory_s`."""
        self._tidy(now_s)
        self._all.add(now_s)
        self._all.memory_s = memory_s
        caller = self._callers.setdefault(name, Recent(memory_s, now_s))
        caller.add(now_s)
        caller.memory_s = _LONGER * memory_s
        return self._all.per_s(now_s)

    def is_modest(self, now_s: float, name: str, possible_per_s: float) -> bool:
        """Whether the caller asks for no more than an equal part of what can be done."""
        if name not in self._callers:
            return True
        return self._callers[name].per_s(now_s) <= possible_per_s / len(self._callers)

    def _tidy(self, now_s: float) -> None:
        """Forget who is absent, now and then."""
        if now_s - self._tidied_s >= _TIDY_S:
            self._tidied_s = now_s
            for name in [n for n, calls in self._callers.items() if calls.at(now_s) < _ABSENT]:
                del self._callers[name]
