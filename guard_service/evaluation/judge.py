"""The engine over conversations whose truth is known, a few micro-batches at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from guard_service.app import open_guard
from guard_service.batching.entry import Caller, Lane
from guard_service.config import Settings
from guard_service.conversation import Conversation
from guard_service.errors import InvalidRequest
from guard_service.evaluation.evaluation import Judgement
from guard_service.evaluation.readings import Readings
from guard_service.pipeline import Check, Outcome, Pipeline
from guard_service.policy import OnUnavailable, Policy


@dataclass(frozen=True)
class Judge:
    """A running model; `num_places` conversations are with it at a time."""

    pipeline: Pipeline
    num_places: int

    def policy(self, name: str) -> Policy:
        """By its id, or the default one where the name is empty."""
        return self.pipeline.policies[name or self.pipeline.default_policy]

    async def read(
        self,
        conversations: Iterable[Conversation],
        policy: str,
        on_read: Callable[[int], object] = lambda _: None,
    ) -> Readings:
        """Equal conversations are judged once; one that is refused has its reason instead."""
        distinct = {one.digest(): one for one in conversations}
        places = asyncio.Semaphore(self.num_places)

        async def judge(conversation: Conversation) -> Judgement | str:
            async with places:
                try:
                    return _judgement(await self.pipeline.moderate(_check(conversation, policy)))
                except InvalidRequest as error:
                    return str(error)
                finally:
                    on_read(len(distinct))

        found = await asyncio.gather(*map(judge, distinct.values()))
        outcomes = dict(zip(distinct, found, strict=True))
        return Readings(
            self.pipeline.model,
            name_of(self.policy(policy)),
            {key: one for key, one in outcomes.items() if isinstance(one, Judgement)},
            {key: one for key, one in outcomes.items() if isinstance(one, str)},
        )


@asynccontextmanager
async def open_judge(settings: Settings) -> AsyncIterator[Judge]:
    async with open_guard(settings) as guard:
        await guard.engine.start()
        yield Judge(guard.pipeline, settings.max_batch_requests * 2)


def name_of(policy: Policy) -> str:
    return f"{policy.id} {policy.version} ({policy.digest[:8]})"


def _check(conversation: Conversation, policy: str) -> Check:
    caller = Caller(Lane.BULK)
    return Check(conversation, policy=policy, on_unavailable=OnUnavailable.ERROR, caller=caller)


def _judgement(outcome: Outcome) -> Judgement:
    assert outcome.verdict is not None, "This is a bug: no verdict and no error."
    verdict = outcome.verdict
    return Judgement(
        verdict.unsafe_score,
        verdict.is_unsafe,
        tuple(score.category.code for score in verdict.flagged),
        {score.category.code: score.score for score in verdict.categories},
    )
