"""From a decision to the item that people will see."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from guard_service.conversation import Conversation
from guard_service.decision import Decision
from guard_service.evidence import Evidence
from guard_service.policy import Policy
from guard_service.review.item import ReviewItem
from guard_service.review.priority import place_of
from guard_service.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for the decision, and how they call it."""

    request_id: str
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    tenant: str = ""


def refer(
    conversation: Conversation,
    decision: Decision,
    policy: Policy,
    model: str,
    asked: Asked,
    verdict: Verdict | None = None,
    judged_message: int | None = None,
    evidence: Evidence | None = None,
) -> ReviewItem:
    """The item of a decision that people are to look at; new each time, see ReviewStore.add."""
    assert decision.review_reason, "This is a bug: nobody is to look at it."
    return ReviewItem(
        id=uuid.uuid4().hex,
        request_id=asked.request_id,
        created_at=datetime.now(UTC),
        reason=decision.review_reason,
        action=decision.action,
        judged_role=conversation.judged.role,
        unsafe_score=verdict.unsafe_score if verdict else None,
        codes=tuple(s.category.code for s in verdict.flagged) if verdict else (),
        policy=policy.id,
        policy_version=policy.version,
        model=model,
        conversation_digest=conversation.digest(),
        scores={s.category.code: s.score for s in verdict.categories} if verdict else {},
        judged_message=judged_message,
        labels=asked.labels,
        tenant=asked.tenant,
        place=place_of(decision, verdict, policy, asked.labels),
        conversation=conversation,
        evidence=evidence,
    )
