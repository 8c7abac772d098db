"""How long a pass will take: a + c x tokens, fitted to the passes of late."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

_KEPT = 0.95  # weight of a pass against the one after it
_MARGIN = 1.1  # pessimistic only mildly: refusing what could have been done is the worse error
_MAX_JUMP = 4.0  # one pass that hung is no reason to refuse those after it
# Where everything is refused nothing is measured, so an estimate that went wrong must end.
_MAX_AGE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Line:
    """A weighted least squares line through passes, and what it takes to add another."""

    weight: float = 0.0
    tokens: float = 0.0  # means
    seconds: float = 0.0
    variance: float = 0.0  # of tokens
    covariance: float = 0.0

    def add(self, num_tokens: int, seconds: float) -> "_Line":
        weight = self.weight * _KEPT + 1
        share = 1 / weight
        off, off_s = num_tokens - self.tokens, seconds - self.seconds
        return _Line(
            weight,
            self.tokens + share * off,
            self.seconds + share * off_s,
            (1 - share) * (self.variance + share * off * off),
            (1 - share) * (self.covariance + share * off * off_s),
        )

    def at(self, num_tokens: int) -> float:
        """Seconds, with neither the fixed part nor the slope negative."""
        through_zero = self.seconds / max(self.tokens, 1.0)
        # Passes of one size tell nothing of the slope.
        if self.variance < 0.01 * self.tokens**2:
            return through_zero * num_tokens
        slope = min(max(self.covariance / self.variance, 0.0), through_zero)
        return self.seconds + slope * (num_tokens - self.tokens)


class Estimate:
    """Seconds of a pass of so many tokens; 0 while nothing is known."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._line = _Line()
        self._seen_s = -math.inf

    @property
    def is_known(self) -> bool:
        return self._clock() - self._seen_s <= _MAX_AGE_S

    def expect_s(self, num_tokens: int) -> float:
        return self._line.at(num_tokens) if self.is_known else 0.0

    def last_s(self, num_tokens: int) -> float:
        """The same, however long ago it was learned."""
        return self._line.at(num_tokens) if self._line.weight else 0.0

    def predict_s(self, num_tokens: int) -> float:
        """By when it can be promised."""
        return self.expect_s(num_tokens) * _MARGIN

    def add(self, num_tokens: int, seconds: float) -> None:
        """Learn from a pass."""
        if self.is_known:
            line, seconds = self._line, min(seconds, _MAX_JUMP * self._line.at(num_tokens))
        else:
            line = _Line()
        self._line = line.add(num_tokens, seconds)
        self._seen_s = self._clock()
