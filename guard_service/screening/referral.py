"""Judged rows put before people: each conversation once, however often a run is killed.

A chunk's rows are in the review store before the chunk is published, under request ids that follow
from conversation and policy alone: what a killed run had put there is found again, not added.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from guard_service.decision import Decision, ReviewReason, decide, draw
from guard_service.errors import ScreeningRefused
from guard_service.policy import Action, Policy
from guard_service.review.item import ReviewItem
from guard_service.review.referral import Asked, refer
from guard_service.review.store import ReviewStore
from guard_service.screening.chunk import Chunk
from guard_service.screening.judgement import Answers, Judgement
from guard_service.screening.subject import Item
from guard_service.sign import TextSign
from guard_service.verdict import CategoryScore, Verdict

BY_POLICY = "policy"

_MAX_LABEL_CHARS = 256
_ITEMS_AT_ONCE = 256  # others wait for an embedded store meanwhile


@dataclass(frozen=True, slots=True)
class Referral:
    store: ReviewStore
    policy: Policy
    model: str
    share: float | None  # of all conversations; None: those that the policy itself picks

    async def refer(self, chunk: Chunk, answers: Answers) -> None:
        """Put the chunk's conversations on the reviewers' disk, where they are to look."""
        items = self._items(chunk, answers)
        while some := list(islice(items, _ITEMS_AT_ONCE)):
            await self.store.add_all(some)

    def _items(self, chunk: Chunk, answers: Answers) -> Iterator[ReviewItem]:
        for item in {item.digest: item for item in reversed(chunk.items)}.values():
            answer = answers[item.digest]
            if isinstance(answer, Judgement):
                verdict = verdict_of(answer, self.policy)
                decision = self._decide(item, answer, verdict)
                if decision.needs_review:
                    yield self._item(item, decision, verdict)

    def _decide(self, item: Item, judgement: Judgement, verdict: Verdict) -> Decision:
        if self.share is not None:
            is_drawn = draw(item.digest.hex()) < self.share
            reason = ReviewReason.SAMPLED if is_drawn else None
            return Decision(Action(judgement.action), reason)
        return decide(verdict, self.policy, item.digest.hex(), set(map(TextSign, judgement.signs)))

    def _item(self, item: Item, decision: Decision, verdict: Verdict) -> ReviewItem:
        labels = {"file": item.place.file, "line": str(item.place.line), "id": item.origin.id}
        told = {name: text[:_MAX_LABEL_CHARS] for name, text in labels.items() if text}
        request_id = f"screen-{item.digest.hex()}-{self.policy.digest[:16]}"
        asked, number = Asked(request_id, told), len(item.conversation.messages) - 1
        return refer(item.conversation, decision, self.policy, self.model, asked, verdict, number)


def read_share(rule: str) -> float | None:
    """Of `policy`, None; of a share such as 0.01 that. ScreeningRefused for anything else."""
    if rule == BY_POLICY:
        return None
    try:
        share = float(rule)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ScreeningRefused(f"review: {BY_POLICY}, or a share above 0 and up to 1")
    return share


def verdict_of(judgement: Judgement, policy: Policy) -> Verdict:
    """The verdict that the judgement was made of."""
    worst = judgement.worst
    return Verdict(
        judgement.is_unsafe,
        worst.unsafe_score,
        tuple(
            CategoryScore(category, score, category.code in judgement.codes)
            for category, score in zip(policy.categories, worst.scores, strict=True)
        ),
        worst.label_mass,
    )
