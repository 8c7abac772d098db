"""The path: conversation, policy, prompt, micro-batch, reading, verdict, decision, review item."""

import asyncio
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from guard_service.batching.entry import ANYONE, Answer, Caller
from guard_service.conversation import Conversation, Judge, Limits, check_conversation
from guard_service.decision import Decision, decide, decide_unavailable
from guard_service.encoding.window import Coverage
from guard_service.errors import (
    DeadlineExceeded,
    InvalidRequest,
    PolicyUnknown,
    ReadingRejected,
    Unavailable,
    Violation,
)
from guard_service.evidence import Evidence
from guard_service.policy import Action, OnUnavailable, Policy
from guard_service.prompt import Prompt, digest_of
from guard_service.question import PromptBuilder, Question, build_question
from guard_service.quota.meter import Settle, free
from guard_service.review.item import ReviewItem
from guard_service.review.referral import Asked, refer
from guard_service.sign import TextSign
from guard_service.usage import NO_TIMINGS, NO_USAGE, Timings, Usage, timings_of, usage_of
from guard_service.verdict import Reading, Verdict, check_reading, read_verdict, worst_first
from guard_service.view import View

# Before the caller's deadline, so that the answer arrives while somebody waits for it.
_MARGIN_S = 0.025

# Such a text is encoded in less time than it takes to hand it to a thread and back.
_SHORT_BYTES = 256


class Assessment(Enum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to judge; the pipeline gives it a request id where it has none."""

    conversation: Conversation
    request_id: str = ""
    policy: str = ""
    judge: Judge = Judge.LAST
    on_unavailable: OnUnavailable | None = None
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    caller: Caller = ANYONE
    tenant: str = ""
    settle: Settle = free  # told how many tokens will be read, before they are


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
    usage: Usage = NO_USAGE
    timings: Timings = NO_TIMINGS
    review_item_id: str = ""
    signs: frozenset[TextSign] = frozenset()
    worst: View | None = None  # the view that the verdict is of
    readings: tuple[Reading, ...] = ()  # of every window, the worst first


@dataclass(frozen=True, slots=True)
class Judged:
    """What was asked of the model, and what it found."""

    question: Question
    readings: tuple[Reading, ...]
    verdict: Verdict

    @property
    def worst(self) -> View:
        return self.question.views[self.verdict.reading]

    def evidence(self, policy: Policy, model_digest: str) -> Evidence:
        prompts = digest_of(self.question.prompts)
        return Evidence(policy, self.readings, self.question.signs, model_digest, prompts)


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
    on_fallback: Callable[[Outcome], None] = lambda _: None
    on_verdict: Callable[[Check, Outcome], None] = lambda *_: None
    model_digest: Callable[[], str] = lambda: ""

    async def moderate(self, check: Check) -> Outcome:
        """Judge the last message, or all; raises InvalidRequest, Unavailable or ReadingRejected."""
        started, decision = time.monotonic(), None
        policy = self._policy(check)
        check_conversation(check.conversation, self.limits)
        check = _prepare(check)
        try:
            async with _until(check.caller.deadline_s):
                question = await self._ask(check, policy)
                await check.settle(usage_of(question.prompts).prompt_tokens)
                answers = await self.reader.read(question.prompts, check.caller)
                readings = [check_reading(a.reading, self.min_label_mass) for a in answers]
                verdict = read_verdict(readings, policy)
                decision = decide(verdict, policy, check.request_id, question.signs)
                judged = Judged(question, tuple(readings), verdict)
                item_id = await self._feed_review(check, policy, decision, judged)
        except (Unavailable, ReadingRejected) as error:
            return await self._fall_back(check, policy, error, decision)
        outcome = Outcome(
            check.request_id,
            policy,
            self.model,
            decision,
            Assessment.COMPLETE if question.coverage.is_complete else Assessment.PARTIAL,
            verdict,
            question.coverage,
            usage_of(question.prompts),
            timings_of(answers, started),
            item_id,
            question.signs,
            judged.worst,
            worst_first(readings, verdict),
        )
        self.on_verdict(check, outcome)
        return outcome

    async def _ask(self, check: Check, policy: Policy) -> Question:
        given = self.tokenizer, check.conversation, check.judge, policy
        if check.conversation.num_bytes <= _SHORT_BYTES:
            return build_question(*given)
        # In a thread: a long text takes a while, and encoding it leaves the GIL.
        return await asyncio.to_thread(build_question, *given)

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
        self,
        check: Check,
        policy: Policy,
        decision: Decision,
        judged: Judged | None = None,
    ) -> str:
        """Write the review item, if there is to be one, before the answer leaves; its id."""
        if decision.review_reason is None:
            return ""
        item = refer(
            check.conversation,
            decision,
            policy,
            self.model,
            Asked(check.request_id, check.labels, check.tenant),
            judged.verdict if judged else None,
            judged.worst.message if judged else None,
            judged.evidence(policy, self.model_digest()) if judged else None,
        )
        return await self.feed.add(item)

    async def _fall_back(
        self, check: Check, policy: Policy, error: Exception, decided: Decision | None
    ) -> Outcome:
        """The declared fallback, or the error itself where that was chosen.

        What was decided and only could not be kept is never opened again.
        """
        choice = check.on_unavailable or policy.on_unavailable
        if choice is OnUnavailable.ERROR:
            raise error
        is_blocked = decided is not None and decided.action is Action.BLOCK
        may_allow = choice is OnUnavailable.ALLOW and not is_blocked
        decision = decide_unavailable(policy, may_allow=may_allow)
        item_id = await self._feed_review(check, policy, decision)
        outcome = Outcome(
            check.request_id,
            policy,
            self.model,
            decision,
            Assessment.UNAVAILABLE,
            review_item_id=item_id,
        )
        self.on_fallback(outcome)
        return outcome


def _prepare(check: Check) -> Check:
    deadline_s = check.caller.deadline_s - _MARGIN_S
    caller = replace(check.caller, deadline_s=deadline_s)
    return replace(check, request_id=check.request_id or uuid.uuid4().hex, caller=caller)


@asynccontextmanager
async def _until(deadline_s: float) -> AsyncIterator[None]:
    """DeadlineExceeded where what is inside does not end by then."""
    try:
        async with asyncio.timeout_at(deadline_s if math.isfinite(deadline_s) else None):
            yield
    except TimeoutError:
        raise DeadlineExceeded from None
