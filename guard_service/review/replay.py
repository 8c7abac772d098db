"""Decides stored items again: by their own policies, to check them, or by another, to compare."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from guard_service.decision import Decision, ReviewReason
from guard_service.evidence import redecide, unanswerable
from guard_service.policy import Policy
from guard_service.review.database import Database
from guard_service.review.evidence import EVERY_ITEM, Decided, Wanted, read_decided
from guard_service.verdict import Verdict

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Redecided:
    """An item as it was decided, and as a policy decides it now."""

    stored: Decided
    verdict: Verdict
    decision: Decision

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(score.category.code for score in self.verdict.flagged)

    @property
    def is_same(self) -> bool:
        """Exactly what is stored: action, reason, categories and every score."""
        item = self.stored.item
        return (
            self.decision.action is item.action
            and (self.decision.review_reason is item.reason or self._is_drawn_apart)
            and self.codes == item.codes
            and self.verdict.unsafe_score == item.unsafe_score
            and {s.category.code: s.score for s in self.verdict.categories} == item.scores
        )

    @property
    def _is_drawn_apart(self) -> bool:
        """By another share than the policy's own, which has no say in it then (guard screen)."""
        item, policy = self.stored.item, self.stored.evidence.policy
        is_sampled = item.reason is ReviewReason.SAMPLED
        return is_sampled and item.place.inclusion != policy.review.sample

    @property
    def is_flip(self) -> bool:
        return self.decision.action is not self.stored.item.action


async def every_decided(database: Database, wanted: Wanted = EVERY_ITEM) -> AsyncIterator[Decided]:
    """Items with evidence, oldest first, a page in memory at a time."""
    after = 0
    while page := await database.read(
        lambda c, after=after: read_decided(c, wanted, after, _PAGE)  # type: ignore[misc]
    ):
        for each in page:
            yield each
        after = page[-1].sequence


def replay(decided: Decided, policy: Policy | None = None) -> Redecided | str:
    """The item decided by this policy, or None: by its own; or why its readings cannot answer."""
    own = decided.evidence.policy
    policy = policy or own
    if problem := unanswerable(policy, own):
        return problem
    verdict, decision = redecide(decided.evidence, policy, decided.item.request_id)
    return Redecided(decided, verdict, decision)
