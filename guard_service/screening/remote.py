"""A judge that is a running server: slices through the bulk lane, asked again where it is away."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from guard_service.client import (
    AsyncGuardClient,
    BatchItem,
    DeadlineExceeded,
    GuardError,
    InvalidRequest,
    Message,
    Moderation,
    ModerationRequest,
    OnUnavailable,
    Overloaded,
    QuotaExceeded,
    Role,
    ServerError,
    ToolCall,
    Unavailable,
)
from guard_service.conversation import Limits, check_conversation
from guard_service.errors import EngineUnavailable
from guard_service.errors import InvalidRequest as Invalid
from guard_service.errors import Unavailable as ServerAway
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.subject import Item, request_id
from guard_service.verdict import Reading

_PASSING = (Overloaded, QuotaExceeded, Unavailable, DeadlineExceeded)
_ENGINE_DIED, _AWAY = "ENGINE_UNAVAILABLE", ("", "STATUS_LOST")  # reasons
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 30.0


@dataclass(frozen=True, slots=True)
class Expected:
    """Who must answer: a server that was exchanged meanwhile would mix its verdicts in."""

    policy: str
    policy_version: str
    model: str


@dataclass(frozen=True, slots=True)
class RemoteJudge:
    client: AsyncGuardClient
    expected: Expected
    policy_digest: str
    limits: Limits
    patience_s: float  # without any answer, until the run gives up

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        """As LocalJudge; EngineUnavailable where the server's engine was away or died over them."""
        answers: dict[int, Judgement | Unjudged] = {
            n: refused for n, item in enumerate(items) if (refused := self._refuse(item))
        }
        wait_s, until_s = _FIRST_WAIT_S, time.monotonic() + self.patience_s
        while left := [number for number in range(len(items)) if number not in answers]:
            num_before = len(answers)
            problem = await self._ask(items, left, answers)
            if len(answers) > num_before:
                wait_s, until_s = _FIRST_WAIT_S, time.monotonic() + self.patience_s
            elif problem and time.monotonic() > until_s:
                raise ServerAway(f"no answer for {self.patience_s:.0f} s: {problem}")
            if problem and problem.reason == _ENGINE_DIED:
                raise EngineUnavailable(str(problem))
            if problem:
                await self._wait(problem, wait_s, until_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        return [answers[number] for number in range(len(items))]

    async def _wait(self, problem: GuardError, wait_s: float, until_s: float) -> None:
        """As told, or longer each time; for a server that is away until it serves."""
        if isinstance(problem, Unavailable) and problem.reason in _AWAY:
            with suppress(DeadlineExceeded):
                await self.client.wait_until_ready(max(until_s - time.monotonic(), 0.0))
            wait_s = _FIRST_WAIT_S
        await asyncio.sleep(max(wait_s, problem.retry_after_s or 0) * random.uniform(1, 1.25))

    def _refuse(self, item: Item) -> Unjudged | None:
        """What the server would refuse; over gRPC's own limit it would take the stream along."""
        try:
            check_conversation(item.conversation, self.limits)
        except Invalid as error:
            return Unjudged(str(error))
        return None

    async def _ask(
        self, items: Sequence[Item], left: Sequence[int], answers: dict[int, Judgement | Unjudged]
    ) -> GuardError | None:
        """Ask once for what is left; what passes and is worth another try is returned."""
        problem = None
        requests = [self._request(items[number]) for number in left]
        try:
            async for answer in self.client.moderate_batch(requests):
                if isinstance(answer.error, _PASSING):
                    problem = answer.error
                else:
                    answers[left[answer.index]] = self._answer(answer)
        except _PASSING as error:
            return error
        return problem

    def _request(self, item: Item) -> ModerationRequest:
        return ModerationRequest(
            _messages(item),
            policy=self.expected.policy,
            request_id=request_id(item.digest, self.policy_digest),
            on_unavailable=OnUnavailable.ERROR,
            include_readings=True,
        )

    def _answer(self, answer: BatchItem) -> Judgement | Unjudged:
        if isinstance(answer.error, InvalidRequest | ServerError):
            return Unjudged(str(answer.error))
        moderation = answer.result()
        answering = Expected(moderation.policy, moderation.policy_version, moderation.model)
        if answering != self.expected:
            raise ServerAway("the server's model or policy was exchanged during the run")
        return judgement_of(moderation)


def judgement_of(moderation: Moderation) -> Judgement:
    verdict, coverage = moderation.verdict, moderation.coverage
    assert verdict, "This is a bug: no verdict and no error."
    worst, *others = [
        Reading(each.unsafe_score, each.label_mass, each.first_scores, each.listed)
        for each in moderation.readings
    ]
    return Judgement(
        action=moderation.action.value,
        needs_review=moderation.review,
        is_unsafe=verdict.unsafe,
        codes=tuple(score.code for score in verdict.flagged),
        worst=worst,
        others=tuple(others),
        assessment=moderation.assessment.value,
        judged_chars=coverage.judged_chars,
        total_chars=coverage.total_chars,
        signs=tuple(sorted(sign.value for sign in moderation.text_signs)),
    )


def _messages(item: Item) -> list[Message]:
    return [
        Message(
            Role(message.role.value),
            message.content,
            tuple(ToolCall(call.name, call.arguments_json) for call in message.tool_calls),
        )
        for message in item.conversation.messages
    ]
