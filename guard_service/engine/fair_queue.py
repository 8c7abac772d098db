"""One lane's waiting entries, shared fairly between callers.

Virtual token counters: each caller's counter grows by the tokens it was served, over its weight,
and the least counter goes next (start-time fair queueing; Sheng et al. 2024 for prompts). Who
comes back after a pause starts where the queue is now, and has saved up nothing.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from guard_service.engine.entry import Caller, Entry

# A long prompt loses this much of its length for every second it waits, and so is never starved
# by short ones.
_AGEING_TOKENS_PER_S = 4000.0


class FairQueue:
    def __init__(self) -> None:
        # Within a caller shortest first with ageing. All age alike, so that the order of two
        # entries never changes and a heap on (length + ageing x arrival) holds.
        self._waiting: dict[str, list[tuple[float, int, Entry]]] = {}
        self._served: dict[str, float] = {}
        self._served_now = 0.0
        self.num_tokens = 0
        self.num_entries = 0

    def push(self, entry: Entry) -> None:
        name = entry.caller.name
        if name not in self._waiting:
            self._forget_absent()
            self._waiting[name] = []
            self._served[name] = max(self._served.get(name, 0.0), self._served_now)
        rank = entry.num_left + _AGEING_TOKENS_PER_S * entry.since_s
        heappush(self._waiting[name], (rank, entry.key, entry))
        self.num_tokens += entry.num_left
        self.num_entries += 1

    def charge(self, caller: Caller, num_tokens: int) -> None:
        self._served[caller.name] += num_tokens / caller.weight

    def in_order(self, now_s: float) -> Iterator[Entry]:
        """Pop the fairest entry again and again; the taker charges, and pushes back at the end."""
        callers = [self._turn(name, now_s) for name in self._waiting]
        heapify(callers)
        while callers:
            *_, name = heappop(callers)
            self._served_now = max(self._served_now, self._served[name])
            yield self._pop(name)
            if name in self._waiting:
                heappush(callers, self._turn(name, now_s))

    def clear(self) -> list[Entry]:
        """Pop everything."""
        entries = [entry for heap in self._waiting.values() for *_, entry in heap]
        self._waiting.clear()
        self.num_tokens = self.num_entries = 0
        return entries

    def _turn(self, name: str, now_s: float) -> tuple[float, int, str]:
        """The order of callers: tokens served, then the length of what is next, less its age."""
        _, key, entry = self._waiting[name][0]
        age = _AGEING_TOKENS_PER_S * (now_s - entry.since_s)
        return self._served[name] + max(entry.num_left - age, 0.0), key, name

    def _pop(self, name: str) -> Entry:
        _, _, entry = heappop(self._waiting[name])
        if not self._waiting[name]:
            del self._waiting[name]
        self.num_tokens -= entry.num_left
        self.num_entries -= 1
        return entry

    def _forget_absent(self) -> None:
        """Drop counters that the queue has caught up with, before they become a leak."""
        if len(self._served) > 2 * len(self._waiting) + 64:
            self._served = {
                name: served
                for name, served in self._served.items()
                if name in self._waiting or served > self._served_now
            }
