"""The nouns of a quota, and the one rule: a bucket that leaks its limit in a minute.

A tenant may use its whole limit at once and then a sixtieth of it each second. What is used can go
over the limit only by a correction; until it has leaked away nothing more is let in.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from guard_service.errors import Exhausted

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one tenant; 0: none."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0

    @property
    def is_unlimited(self) -> bool:
        return not any(limits(self))

    def share(self, num_servers: int) -> "Quota":
        """One server's part, where servers cannot count together; never nothing, never all."""
        return Quota(*(limit and max(limit // num_servers, 1) for limit in limits(self)))


@dataclass(frozen=True, slots=True)
class Cost:
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Used:
    """What is in a tenant's buckets at a moment of a clock that never goes back."""

    requests: float = 0.0
    tokens: float = 0.0
    at_s: float = 0.0

    def leaked(self, quota: Quota, now_s: float) -> "Used":
        passed = max(now_s - self.at_s, 0.0) / _MINUTE_S
        return Used(
            max(self.requests - quota.requests_per_minute * passed, 0.0),
            max(self.tokens - quota.tokens_per_minute * passed, 0.0),
            now_s,
        )

    def plus(self, cost: Cost) -> "Used":
        requests, tokens = self.requests + cost.requests, self.tokens + cost.tokens
        return Used(max(requests, 0.0), max(tokens, 0.0), self.at_s)

    def waits_s(self, quota: Quota, cost: Cost) -> tuple[float, float]:
        """For each limit, how long until the cost fits; 0 where it does."""
        after = self.plus(cost)
        return (
            _wait_s(after.requests, quota.requests_per_minute),
            _wait_s(after.tokens, quota.tokens_per_minute),
        )


def exhausted(quota: Quota, waits_s: tuple[float, float]) -> Iterator[Exhausted]:
    """Which limits have to be waited for."""
    for field, limit, wait_s in zip(fields(quota), limits(quota), waits_s, strict=True):
        if wait_s > 0:
            yield Exhausted(field.name, limit, wait_s)


def limits(quota: Quota) -> tuple[int, int]:
    return quota.requests_per_minute, quota.tokens_per_minute


def _wait_s(used: float, limit: int) -> float:
    return max(used - limit, 0.0) * _MINUTE_S / limit if limit else 0.0
