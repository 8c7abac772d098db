"""How urgent an item is: uncertainty x severity, in levels, and its age on top when it is claimed.

Within a level the oldest is the most urgent, so a claim compares the oldest of each level and needs
neither a sort nor a score that ages. Two levels are a factor of two.
"""

from collections.abc import Mapping, Sequence

from guard_service.decision import Decision, ReviewReason
from guard_service.policy import Policy
from guard_service.review.item import Lane, Place
from guard_service.verdict import Verdict

NUM_LEVELS = 16
LANGUAGE_LABEL = "language"

_LEAST_WEIGHT = 0.05
_DAY_S = 24 * 3600
# Harm to life and to children before harm to property; a policy may say otherwise.
_SEVERITY = {"S4": 10, "S1": 8, "S3": 8, "S9": 8, "S11": 8, "S2": 4, "S10": 4, "S7": 4}
_USUAL_SEVERITY = 2


def place_of(
    decision: Decision, verdict: Verdict | None, policy: Policy, labels: Mapping[str, str]
) -> Place:
    """Where the item of this decision waits."""
    codes = [score.category.code for score in verdict.flagged] if verdict else []
    weight = _uncertainty(verdict, policy) * _severity(codes, policy)
    is_sampled = decision.review_reason is ReviewReason.SAMPLED
    needs_two = not set(codes).isdisjoint(policy.review.second_look)
    return Place(
        Lane.RANDOM if is_sampled else Lane.RANKED,
        level_of(weight),
        codes[0] if codes else "",
        labels.get(LANGUAGE_LABEL, ""),
        2 if needs_two else 1,
        policy.review.keep_text_days * _DAY_S,
        policy.review.sample if is_sampled else 1.0,
    )


def level_of(weight: float) -> int:
    level = 0
    while level < NUM_LEVELS - 1 and weight_of(level + 1) <= weight:
        level += 1
    return level


def weight_of(level: int) -> float:
    return float(_LEAST_WEIGHT * 2 ** (level / 2))


def by_urgency(oldest_ms: Mapping[int, int], now_ms: int) -> list[int]:
    """Levels, the one first whose oldest item is the most urgent."""

    def urgency(level: int) -> float:
        return weight_of(level) * max(now_ms - oldest_ms[level], 1)

    return sorted(oldest_ms, key=urgency, reverse=True)


def _uncertainty(verdict: Verdict | None, policy: Policy) -> float:
    """1 at the threshold or without a verdict, falling to 0 as far from it as a score can be."""
    if verdict is None:
        return 1.0
    farthest = max(policy.threshold, 1 - policy.threshold)
    return max(1 - abs(verdict.unsafe_score - policy.threshold) / farthest, 0.0)


def _severity(codes: Sequence[str], policy: Policy) -> float:
    severity = _SEVERITY | dict(policy.review.severity)
    return max((severity.get(code, _USUAL_SEVERITY) for code in codes), default=1)
