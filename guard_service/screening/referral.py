"""Judged rows put before people: each conversation once, however often a run is killed.

A chunk's rows are in the review store before the chunk is published, under request ids that follow
from conversation and policy alone: what a killed run had put there is found again, not added.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from guard_service.decision import Decision, ReviewReason, draw
from guard_service.errors import ScreeningRefused
from guard_service.evidence import Evidence, redecide
from guard_service.policy import Policy
from guard_service.review.item import SUBJECT_LABEL, ReviewItem
from guard_service.review.referral import Asked, refer
from guard_service.review.store import ReviewStore
from guard_service.screening.chunk import Chunk
from guard_service.screening.judgement import Answers, Judgement
from guard_service.screening.row import Judged
from guard_service.screening.subject import Item, request_id
from guard_service.sign import TextSign

BY_POLICY = "policy"

_MAX_LABEL_CHARS = 256
_ITEMS_AT_ONCE = 256  # others wait for an embedded store meanwhile


@dataclass(frozen=True, slots=True)
class Referral:
    store: ReviewStore
    policy: Policy
    judged: Judged
    share: float | None = None  # of all conversations; None: those that the policy itself picks
    tenant: str = ""  # whose they are

    async def refer(self, chunk: Chunk, answers: Answers) -> None:
        """Put the chunk's conversations on the reviewers' disk, where they are to look."""
        items = self._items(chunk, answers)
        while some := list(islice(items, _ITEMS_AT_ONCE)):
            await self.store.add_all(some)

    def _items(self, chunk: Chunk, answers: Answers) -> Iterator[ReviewItem]:
        for item in {item.digest: item for item in reversed(chunk.items)}.values():
            answer = answers[item.digest]
            if isinstance(answer, Judgement) and (referred := self._refer(item, answer)):
                yield referred

    def _refer(self, item: Item, judgement: Judgement) -> ReviewItem | None:
        asked = Asked(
            request_id(item.digest, self.judged.policy_digest), _labels(item), self.tenant
        )
        evidence = self._evidence(judgement)
        verdict, decision = redecide(evidence, self.policy, asked.request_id)
        if self.share is not None:
            is_drawn = draw(asked.request_id) < self.share
            decision = Decision(decision.action, ReviewReason.SAMPLED if is_drawn else None)
        if not decision.needs_review:
            return None
        number = len(item.conversation.messages) - 1
        told = (item.conversation, decision, self.policy, self.judged.model, asked)
        return self._place(refer(*told, verdict, number, evidence))

    def _evidence(self, judgement: Judgement) -> Evidence:
        readings = (judgement.worst, *judgement.others)
        signs = frozenset(map(TextSign, judgement.signs))
        return Evidence(self.policy, readings, signs, self.judged.model_digest)

    def _place(self, item: ReviewItem) -> ReviewItem:
        if self.share is None:
            return item
        return replace(item, place=replace(item.place, inclusion=self.share))


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


def _labels(item: Item) -> dict[str, str]:
    labels = {
        "file": item.place.file,
        "line": str(item.place.line),
        "id": item.origin.id,
        SUBJECT_LABEL: item.origin.user,  # by which it can be erased
    }
    return {name: text[:_MAX_LABEL_CHARS] for name, text in labels.items() if text}
