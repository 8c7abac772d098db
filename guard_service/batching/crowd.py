"""Tells a crowd that stays from a burst that passes, and keeps its queue short. Knows no clock.

A queue that is longer than its room for a while means more work than can be done. From then on it
is kept that short, and who comes early in a pass is refused where those who come later will fill
the next one all the same: as much is done, and who is let in waits for little more than the pass
it is in. It is over when neither was needed for as long.
"""

import math
from dataclasses import dataclass

# Times the room: what may wait before it is known whether the crowd stays, and with those counted
# whose callers ask for little.
_MAX_BURST = 2
_MAX_MODEST = 3
# Of the calls that are likely to come: what a pass that is left open for them can count on. Less,
# after passes that were not full all the same.
_CERTAIN = 1 / 2
_REGAINED = 1.05  # with every pass that was


@dataclass(frozen=True, slots=True)
class Prospect:
    """What one more call would meet, in full passes of one engine."""

    num_waiting: float  # for each engine, with the call itself; 0 where nothing else does
    spare: float  # room in the pass that it would be in, before it is
    num_coming: float  # in calls that are likely to come before that pass begins
    is_modest: bool  # its caller asks for no more than its share


class Crowd:
    def __init__(self, room: float) -> None:
        self._room = room  # full passes of each engine
        self._short_s = self._long_s = -math.inf  # when the queue was last seen so
        self._is_lasting = False
        self._certain = _CERTAIN
        self._num_early = 0  # refused since the last pass

    def admits(self, now_s: float, grace_s: float, prospect: Prospect) -> bool:
        """Whether one more is let in; one who asks for little is, while others crowd."""
        is_long = prospect.num_waiting > self._room
        is_huge = prospect.num_waiting > _MAX_BURST * self._room
        is_early = self._is_lasting and prospect.num_coming * self._certain > prospect.spare
        if is_long or is_early:
            self._long_s = now_s
            self._is_lasting |= is_huge or now_s - self._short_s > grace_s
        elif not self._is_lasting or now_s - self._long_s > grace_s:
            self._is_lasting, self._short_s = False, now_s
        is_refused = self._is_lasting and (is_long or is_early)
        has_room = prospect.num_waiting <= _MAX_MODEST * self._room
        if not is_refused or (prospect.is_modest and has_room):
            return True
        self._num_early += not is_long
        return False

    def saw_pass(self, fill: float) -> None:
        """Learn from a pass how well those who came later filled it."""
        if fill >= 1:
            self._certain = min(self._certain * _REGAINED, _CERTAIN)
        elif self._num_early:
            self._certain *= max(fill, 1 / 2)
        self._num_early = 0
