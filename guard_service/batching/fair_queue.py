"""One lane's waiting entries, shared fairly between callers.

Virtual token counters: each caller's counter grows by the tokens it was served, over its weight,
and the least goes next. A fair counter grows by what each caller present could have had: who comes
back after a pause starts there, and who is far ahead of it goes on only where nobody else has work.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from guard_service.batching.entry import Caller, Entry

# A long prompt loses this much of its length for every second it waits, and so is never starved
# by short ones.
_AGEING_TOKENS_PER_S = 4000.0
# So far ahead of its share a caller still goes with the others: a burst of calls, or one prompt of
# the longest window, is no greed.
_MAX_AHEAD_TOKENS = 8192


@dataclass(slots=True)
class _Share:
    """What one caller has waiting, and its virtual token counter."""

    weight: float
    served: float
    seen_s: float
    num_tokens: int = 0
    # A heap on length and arrival: all age alike, so the order of two entries never changes.
    waiting: list[tuple[float, int, Entry]] = field(default_factory=list)


class FairQueue:
    def __init__(self) -> None:
        self._shares: dict[str, _Share] = {}
        self._fair = 0.0
        self._weight = 1.0  # of all callers present
        self.num_tokens = 0
        self.num_entries = 0

    def push(self, entry: Entry) -> None:
        caller = entry.caller
        share = self._shares.setdefault(caller.name, _Share(caller.weight, 0.0, entry.since_s))
        if not share.waiting:
            share.served = max(share.served, self._fair)
        share.seen_s = max(share.seen_s, entry.since_s)
        rank = entry.num_left + _AGEING_TOKENS_PER_S * entry.since_s
        heappush(share.waiting, (rank, entry.key, entry))
        share.num_tokens += entry.num_left
        self.num_tokens += entry.num_left
        self.num_entries += 1

    def tokens_of(self, name: str) -> int:
        """Of what the caller has waiting."""
        return self._shares[name].num_tokens if name in self._shares else 0

    def charge(self, caller: Caller, num_tokens: int) -> None:
        self._shares[caller.name].served += num_tokens / caller.weight
        self._fair += num_tokens / self._weight

    def in_order(self, now_s: float, most_ahead: int, present_s: float) -> Iterator[Entry]:
        """Pop the next entries for a pass; the taker charges, and pushes back what it leaves.

        Those of callers who are ahead come only if nothing else was taken, and up to so many
        tokens, so that a pass for which others may have to wait stays short. A caller counts as
        present for so long after its last prompt.
        """
        self._forget_absent(now_s - present_s)
        self._weight = sum(share.weight for share in self._shares.values()) or 1.0
        names = [name for name, share in self._shares.items() if share.waiting]
        ahead = {name for name in names if self._is_ahead(name)}
        before = self._fair
        for name in self._by_turn(set(names) - ahead, now_s):
            yield self._pop(self._shares[name])
        if ahead and self._fair == before:
            least = min(self._shares[name].served for name in ahead)
            self._fair = before = max(before, least - _MAX_AHEAD_TOKENS)
            for name in self._by_turn(ahead, now_s, is_ahead_allowed=True):
                if (self._fair - before) * self._weight >= most_ahead:
                    return
                yield self._pop(self._shares[name])

    def clear(self) -> list[Entry]:
        """Pop everything."""
        entries = [entry for share in self._shares.values() for *_, entry in share.waiting]
        self._shares.clear()
        self.num_tokens = self.num_entries = 0
        return entries

    def _by_turn(
        self, names: set[str], now_s: float, *, is_ahead_allowed: bool = False
    ) -> Iterator[str]:
        """Whose first entry goes next, again and again."""
        turns = [self._turn(name, now_s) for name in names]
        heapify(turns)
        while turns:
            *_, name = heappop(turns)
            yield name
            if self._shares[name].waiting and (is_ahead_allowed or not self._is_ahead(name)):
                heappush(turns, self._turn(name, now_s))

    def _is_ahead(self, name: str) -> bool:
        return self._shares[name].served > self._fair + _MAX_AHEAD_TOKENS

    def _turn(self, name: str, now_s: float) -> tuple[float, int, str]:
        """The order of callers: tokens served, then the length of what is next, less its age."""
        share = self._shares[name]
        _, key, entry = share.waiting[0]
        age = _AGEING_TOKENS_PER_S * (now_s - entry.since_s)
        return share.served + max(entry.num_left - age, 0.0), key, name

    def _pop(self, share: _Share) -> Entry:
        _, _, entry = heappop(share.waiting)
        share.num_tokens -= entry.num_left
        self.num_tokens -= entry.num_left
        self.num_entries -= 1
        return entry

    def _forget_absent(self, since_s: float) -> None:
        absent = [n for n, s in self._shares.items() if not s.waiting and s.seen_s < since_s]
        for name in absent:
            del self._shares[name]
