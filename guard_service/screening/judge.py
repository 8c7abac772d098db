"""Who judges: anything that takes a slice of items; here the path in this process.

A judge answers for every item, or raises for all of them what would stop any: the run then ends
and can be taken up again.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from guard_service.batching.entry import Caller, Lane
from guard_service.errors import InvalidRequest, ReadingRejected
from guard_service.pipeline import Check, Outcome, Pipeline
from guard_service.policy import OnUnavailable
from guard_service.review.item import ReviewItem
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.subject import Item, request_id


class Judge(Protocol):
    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]: ...


class NoReview:
    """A feed that keeps nothing: what is screened waits for nobody."""

    async def add(self, item: ReviewItem) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class LocalJudge:
    pipeline: Pipeline
    policy: str
    policy_digest: str
    num_workers: int  # of one slice

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        left = iter(enumerate(items))
        answers: dict[int, Judgement | Unjudged] = {}
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self.num_workers, len(items))):
                    workers.create_task(self._work(left, answers))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return [answers[number] for number in range(len(items))]

    async def _work(
        self, left: Iterator[tuple[int, Item]], answers: dict[int, Judgement | Unjudged]
    ) -> None:
        for number, item in left:
            answers[number] = await self._ask(item)

    async def _ask(self, item: Item) -> Judgement | Unjudged:
        check = Check(
            item.conversation,
            request_id=request_id(item.digest, self.policy_digest),
            policy=self.policy,
            on_unavailable=OnUnavailable.ERROR,
            caller=Caller(Lane.BULK),
        )
        try:
            return judgement_of(await self.pipeline.moderate(check))
        except (InvalidRequest, ReadingRejected) as error:
            return Unjudged(str(error))


def judgement_of(outcome: Outcome) -> Judgement:
    verdict, coverage = outcome.verdict, outcome.coverage
    assert verdict and coverage, "This is a bug: no verdict and no error."
    worst, *others = outcome.readings
    return Judgement(
        action=outcome.decision.action.value,
        needs_review=outcome.decision.needs_review,
        is_unsafe=verdict.is_unsafe,
        codes=tuple(score.category.code for score in verdict.flagged),
        worst=worst,
        others=tuple(others),
        assessment=outcome.assessment.value,
        judged_chars=coverage.judged_chars,
        total_chars=coverage.total_chars,
        signs=tuple(sorted(sign.value for sign in outcome.signs)),
    )
