"""Tells a crowd that stays from a burst that passes. Knows no clock, no engine.

A queue that is longer than its room for a while means more work than can be done. Then it is kept
that short, so that those who are let in are soon answered, until it has been short for as long.
"""

import math

# Times the room: what may wait before it is known whether the crowd stays, and with those counted
# whose callers have little waiting.
_MAX_BURST = 8
_MAX_MODEST = 12


class Crowd:
    def __init__(self, room: int) -> None:
        self._room = room  # tokens
        self._short_s = self._long_s = -math.inf  # when the queue was last seen so
        self._is_lasting = False

    def admits(
        self, now_s: float, grace_s: float, num_tokens: int, num_own: int, share: float
    ) -> bool:
        """Whether one more may wait, of a caller who has `num_own` of `num_tokens` waiting.

        A caller within its share of the room is let in while others crowd, but not without end.
        """
        is_long, is_huge = num_tokens > self._room, num_tokens > _MAX_BURST * self._room
        if is_long:
            self._long_s = now_s
            self._is_lasting |= is_huge or now_s - self._short_s > grace_s
        elif not self._is_lasting or now_s - self._long_s > grace_s:
            self._is_lasting, self._short_s = False, now_s
        is_modest = num_own <= share * self._room and num_tokens <= _MAX_MODEST * self._room
        return not (self._is_lasting and is_long) or is_modest
