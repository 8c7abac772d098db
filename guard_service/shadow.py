"""A candidate policy that decides the same readings too, and answers nobody."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from guard_service.errors import StoreUnavailable
from guard_service.evidence import Evidence, redecide, unanswerable
from guard_service.pipeline import Check, Outcome
from guard_service.policy import Policy
from guard_service.review.flip import Flip, keep_flips
from guard_service.review.store import ReviewStore
from guard_service.sight import metrics
from guard_service.verdict import Verdict

log = logging.getLogger(__name__)

_MAX_WAITING = 1000  # flips; more are counted and not kept
_MAX_KEPT = 100  # in one transaction


class Shadow:
    """`keep` may be slow or fail: no answer waits for it."""

    def __init__(
        self, policy: Policy | None, keep: Callable[[Sequence[Flip]], Awaitable[None]]
    ) -> None:
        self._policy = policy
        self._digest = policy.digest if policy else ""
        self._keep = keep
        self._waiting: asyncio.Queue[Flip] = asyncio.Queue(_MAX_WAITING)

    def see(self, check: Check, outcome: Outcome) -> None:
        """Decide an answered check a second time, if it was answered by the policy's namesake."""
        policy, verdict = self._policy, outcome.verdict
        if policy is None or verdict is None or policy.id != outcome.policy.id:
            return
        if unanswerable(policy, outcome.policy):  # after a reload
            metrics.SHADOW_DECISIONS.labels("unanswerable").inc()
            return
        flip = self._compare(policy, check, outcome, verdict)
        metrics.SHADOW_DECISIONS.labels("flipped" if flip else "same").inc()
        if flip:
            self._note(flip)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Flips are kept while inside, and those that wait at its end."""
        writing = asyncio.create_task(self._write())
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            while not self._waiting.empty():
                await self._keep_some(self._waiting.get_nowait())

    def _compare(
        self, policy: Policy, check: Check, outcome: Outcome, verdict: Verdict
    ) -> Flip | None:
        evidence = Evidence(outcome.policy, outcome.readings, outcome.signs)
        second, decision = redecide(evidence, policy, outcome.request_id)
        if decision.action is outcome.decision.action:
            return None
        return Flip(
            outcome.request_id,
            check.tenant,
            outcome.review_item_id,
            policy.id,
            outcome.policy.version,
            policy.version,
            self._digest,
            outcome.decision.action,
            decision.action,
            _codes(verdict),
            _codes(second),
            second.unsafe_score,
        )

    def _note(self, flip: Flip) -> None:
        metrics.SHADOW_FLIPS.labels(flip.category, flip.after.value).inc()
        try:
            self._waiting.put_nowait(flip)
        except asyncio.QueueFull:
            metrics.SHADOW_LOST.inc()

    async def _write(self) -> None:
        while True:
            await self._keep_some(await self._waiting.get())

    async def _keep_some(self, first: Flip) -> None:
        flips = [first]
        while len(flips) < _MAX_KEPT and not self._waiting.empty():
            flips.append(self._waiting.get_nowait())
        try:
            await self._keep(flips)
        except StoreUnavailable:
            metrics.SHADOW_LOST.inc(len(flips))
            log.warning("flips were not kept", extra={"action": "flips_lost", "num": len(flips)})


def shadow_in(policy: Policy | None, store: ReviewStore) -> Shadow:
    """One whose flips become events of the store's feed."""

    async def keep(flips: Sequence[Flip]) -> None:
        await store.database.run(partial(keep_flips, flips=flips))

    return Shadow(policy, keep)


def _codes(verdict: Verdict) -> tuple[str, ...]:
    return tuple(score.category.code for score in verdict.flagged)
