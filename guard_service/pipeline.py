"""The path: conversation, policy, prompt, micro-batch, reading, verdict, decision, review item."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Protocol

from guard_service.conversation import Conversation, Limits, check_conversation
from guard_service.decision import Decision, decide
from guard_service.engine.entry import ANYONE, Answer, Caller
from guard_service.engine.window import Coverage
from guard_service.errors import (
    InvalidRequest,
    PolicyUnknown,
    ReadingRejected,
    Unavailable,
    Violation,
)
from guard_service.policy import Action, OnUnavailable, Policy
from guard_service.prompt import Prompt
from guard_service.quota.meter import Settle, free
from guard_service.review.item import ReviewItem
from guard_service.verdict import Verdict, check_reading, read_verdict


class Assessment(Enum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to judge."""

    conversation: Conversation
    request_id: str = ""
    policy: str = ""
    on_unavailable: OnUnavailable | None = None
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    caller: Caller = ANYONE
    tenant: str = ""
    settle: Settle = free  # told how many tokens will be read, before they are


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    total_ms: float = 0.0
    batch_size: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is answered; without a verdict only when the assessment is UNAVAILABLE."""

    request_id: str
    policy: Policy
    model: str
    decision: Decision
    assessment: Assessment
    verdict: Verdict | None = None
    coverage: Coverage | None = None
    usage: Usage = Usage()
    timings: Timings = Timings()
    review_item_id: str = ""


class PromptBuilder(Protocol):
    def prompts(
        self, conversation: Conversation, policy: Policy
    ) -> tuple[tuple[Prompt, ...], Coverage]: ...


class PromptReader(Protocol):
    async def read(self, prompts: Sequence[Prompt], caller: Caller) -> list[Answer]: ...


class ReviewFeed(Protocol):
    async def add(self, item: ReviewItem) -> str: ...


@dataclass(frozen=True, slots=True)
class Pipeline:
    tokenizer: PromptBuilder
    reader: PromptReader
    feed: ReviewFeed
    policies: Mapping[str, Policy]
    default_policy: str
    limits: Limits
    model: str
    min_label_mass: float

    async def moderate(self, check: Check) -> Outcome:
        """Judge the last message; raises InvalidRequest, Unavailable or ReadingRejected."""
        started = time.monotonic()
        policy = self._policy(check)
        check_conversation(check.conversation, self.limits)
        request_id = check.request_id or uuid.uuid4().hex
        try:
            # In a thread: a long text takes a while, and encoding it leaves the GIL.
            prompts, coverage = await asyncio.to_thread(
                self.tokenizer.prompts, check.conversation, policy
            )
            await check.settle(_usage(prompts).prompt_tokens)
            answers = await self.reader.read(prompts, check.caller)
            readings = [check_reading(a.reading, self.min_label_mass) for a in answers]
            verdict = read_verdict(readings, policy)
            decision = decide(verdict, policy, request_id)
            item_id = await self._feed_review(check, request_id, policy, verdict, decision)
        except (Unavailable, ReadingRejected) as error:
            return self._without_verdict(check, request_id, policy, error)
        return Outcome(
            request_id,
            policy,
            self.model,
            decision,
            Assessment.COMPLETE if coverage.is_complete else Assessment.PARTIAL,
            verdict,
            coverage,
            _usage(prompts),
            _timings(answers, started),
            item_id,
        )

    def _policy(self, check: Check) -> Policy:
        policy = self.policies.get(check.policy or self.default_policy)
        if policy is None:
            raise PolicyUnknown((Violation("policy", "no policy of this id"),))
        wants_allow = check.on_unavailable is OnUnavailable.ALLOW
        if wants_allow and policy.on_unavailable is not OnUnavailable.ALLOW:
            problem = f"policy {policy.id} does not permit ALLOW"
            raise InvalidRequest((Violation("on_unavailable", problem),))
        return policy

    async def _feed_review(
        self, check: Check, request_id: str, policy: Policy, verdict: Verdict, decision: Decision
    ) -> str:
        """Write the review item, if there is to be one, before the answer leaves; its id."""
        if decision.review_reason is None:
            return ""
        item = ReviewItem(
            id=uuid.uuid4().hex,
            request_id=request_id,
            created_at=datetime.now(UTC),
            reason=decision.review_reason,
            action=decision.action,
            judged_role=check.conversation.judged.role,
            unsafe_score=verdict.unsafe_score,
            codes=tuple(score.category.code for score in verdict.flagged),
            policy=policy.id,
            policy_version=policy.version,
            model=self.model,
            conversation_digest=check.conversation.digest(),
            labels=check.labels,
            tenant=check.tenant,
        )
        return await self.feed.add(item)

    def _without_verdict(
        self, check: Check, request_id: str, policy: Policy, error: Exception
    ) -> Outcome:
        """The declared fallback, or the error itself where that was chosen."""
        choice = check.on_unavailable or policy.on_unavailable
        if choice is OnUnavailable.ERROR:
            raise error
        action = Action.ALLOW if choice is OnUnavailable.ALLOW else Action.BLOCK
        decision = Decision(action)
        return Outcome(request_id, policy, self.model, decision, Assessment.UNAVAILABLE)


def _usage(prompts: Sequence[Prompt]) -> Usage:
    return Usage(
        prompt_tokens=sum(prompt.num_tokens for prompt in prompts),
        cached_tokens=sum(len(prompt.prefix.ids) for prompt in prompts),
    )


def _timings(answers: Sequence[Answer], started: float) -> Timings:
    return Timings(
        queue_ms=max(answer.queue_ms for answer in answers),
        inference_ms=max(answer.inference_ms for answer in answers),
        total_ms=(time.monotonic() - started) * 1000,
        batch_size=max(answer.batch_size for answer in answers),
    )
