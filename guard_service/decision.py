"""From verdict to decision: what the caller does now, and whether people will look."""

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from guard_service.policy import Action, Policy, SignRule
from guard_service.sign import TextSign
from guard_service.verdict import Verdict


class ReviewReason(Enum):
    BLOCKED = "blocked"
    UNCERTAIN = "uncertain"
    FLAGGED = "flagged"
    SAMPLED = "sampled"
    TEXT_SIGN = "text_sign"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    review_reason: ReviewReason | None = None

    @property
    def needs_review(self) -> bool:
        return self.review_reason is not None


def decide(
    verdict: Verdict, policy: Policy, request_id: str, signs: Set[TextSign] = frozenset()
) -> Decision:
    """Same verdict, signs, policy and request id: same decision, so that it can be replayed."""
    rules = {policy.signs[sign] for sign in signs if sign in policy.signs}
    action = Action.BLOCK if SignRule.BLOCK in rules else _action(verdict, policy)
    return Decision(action, _review_reason(verdict, action, policy, request_id, rules))


def decide_unavailable(policy: Policy, *, may_allow: bool) -> Decision:
    """The policy's declared fallback, where there is no verdict to decide by."""
    reason = ReviewReason.UNAVAILABLE if policy.review.unavailable else None
    return Decision(Action.ALLOW if may_allow else Action.BLOCK, reason)


def _action(verdict: Verdict, policy: Policy) -> Action:
    actions = [policy.rules[score.category.code].action for score in verdict.flagged]
    # Unsafe without a category is possible only if the model named none: then it is blocked.
    blocks = Action.BLOCK in actions or (verdict.is_unsafe and not actions)
    return Action.BLOCK if blocks else Action.ALLOW


def _review_reason(
    verdict: Verdict, action: Action, policy: Policy, request_id: str, rules: Set[SignRule]
) -> ReviewReason | None:
    if abs(verdict.unsafe_score - policy.threshold) <= policy.review.band:
        return ReviewReason.UNCERTAIN
    if action is Action.BLOCK and policy.review.blocked:
        return ReviewReason.BLOCKED
    if action is Action.ALLOW and verdict.flagged:
        return ReviewReason.FLAGGED
    if SignRule.REVIEW in rules:
        return ReviewReason.TEXT_SIGN
    return ReviewReason.SAMPLED if draw(request_id) < policy.review.sample else None


def draw(request_id: str) -> float:
    """A number in [0, 1) that a request keeps when it is sent again."""
    digest = hashlib.blake2b(request_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
