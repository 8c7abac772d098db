"""What a client does where one call is not enough: ask twice, wait when refused, answer itself.

Rules alone, off unless asked for; knows neither threads nor loops. gRPC's own retries, which are
below all of it, are in channel.py.
"""

import logging
import random
import threading
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from guard_service.client.answer import Action, Assessment, Coverage, Moderation, Timings, Usage
from guard_service.client.errors import GuardError, refusal
from guard_service.v1 import moderation_pb2 as pb

# What `moderate` does when no server answers: raise the error, or answer without a verdict.
Offline: TypeAlias = Literal["raise", "allow", "block"]

_HEDGE_COST = 10  # answers that pay for one second call, so at most a tenth of them are hedged
_MAX_HEDGES = 10  # at once, however many were answered before
_MAX_WAITS = 3

# The server had a verdict and could not record it: it may have been to block.
_WITHHELD = "STORE_UNAVAILABLE"

log = logging.getLogger(__name__)


class HedgeBudget:
    """Second calls in credit: as in gRPC's retry throttling (A6), only answers earn any."""

    def __init__(self) -> None:
        self._num_answers = 0
        self._lock = threading.Lock()

    def earn(self) -> None:
        with self._lock:
            self._num_answers = min(self._num_answers + 1, _HEDGE_COST * _MAX_HEDGES)

    def spend(self) -> bool:
        """Whether one more call may be sent, which is then paid for."""
        with self._lock:
            may_send = self._num_answers >= _HEDGE_COST
            self._num_answers -= _HEDGE_COST if may_send else 0
            return may_send


@dataclass(frozen=True, slots=True)
class Attempts:
    hedge_after: float | None = None
    offline: Offline = "raise"
    wait_when_refused: bool = False
    budget: HedgeBudget = field(default_factory=HedgeBudget)

    def __post_init__(self) -> None:
        if self.hedge_after is not None and self.hedge_after <= 0:
            raise refusal("hedge_after", "seconds, more than 0")
        if self.offline not in ("raise", "allow", "block"):
            raise refusal("offline", "raise, allow or block")

    def wait_s(self, error: GuardError, num_waits: int, left_s: float) -> float:
        """How long to wait before the next try; raises the error where none is to come."""
        wait_s = (error.retry_after_s or 0) * random.uniform(1, 1.25)  # not all at once
        if not self.wait_when_refused or not wait_s or num_waits >= _MAX_WAITS or wait_s >= left_s:
            raise error
        return wait_s

    def answer_offline(self, error: GuardError, request: pb.ModerateRequest) -> Moderation:
        """The answer chosen for when no server gives one; the error where that was chosen.

        What the request itself says of `on_unavailable` can only make it stricter.
        """
        asks_for_error = request.on_unavailable == pb.ON_UNAVAILABLE_ERROR
        if self.offline == "raise" or asks_for_error or error.reason == _WITHHELD:
            raise error
        asks_for_block = request.on_unavailable == pb.ON_UNAVAILABLE_BLOCK
        may_allow = self.offline == "allow" and not asks_for_block
        action = Action.ALLOW if may_allow else Action.BLOCK
        extra = {"action": "answered_offline", "error": type(error).__name__}
        log.warning("no server answered: %s without a verdict", action.value, extra=extra)
        return Moderation(
            request_id=request.request_id,
            action=action,
            review=False,
            review_item_id="",
            assessment=Assessment.UNAVAILABLE,
            verdict=None,
            coverage=Coverage(0, 0, 0),
            usage=Usage(0, 0),
            timings=Timings(0.0, 0.0, 0.0, 0),
            policy=request.policy,
            policy_version="",
            model="",
        )
