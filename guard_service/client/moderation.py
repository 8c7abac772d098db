"""What is answered: the action, and what the model found."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from guard_service.client.errors import unreadable
from guard_service.client.wire import from_wire


class Action(Enum):
    ALLOW = "allow"
    BLOCK = "block"


class Assessment(Enum):
    """How much of the request was judged."""

    COMPLETE = "complete"
    PARTIAL = "partial"  # the judged message whole, part of its context not: see coverage
    UNAVAILABLE = "unavailable"  # the model could not be asked; the action is the fallback


@dataclass(frozen=True, slots=True)
class CategoryScore:
    code: str
    name: str
    score: float
    flagged: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    unsafe: bool
    unsafe_score: float
    label_mass: float
    categories: tuple[CategoryScore, ...]  # every one of the policy, in its order

    @property
    def flagged(self) -> tuple[CategoryScore, ...]:
        """Flagged categories, the strongest first."""
        return tuple(sorted((c for c in self.categories if c.flagged), key=lambda c: -c.score))


@dataclass(frozen=True, slots=True)
class Coverage:
    judged_chars: int
    total_chars: int
    windows: int


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Timings:
    queue_ms: float
    inference_ms: float
    total_ms: float
    batch_size: int


@dataclass(frozen=True, slots=True)
class Moderation:
    request_id: str
    action: Action
    review: bool
    review_item_id: str
    assessment: Assessment
    verdict: Verdict | None  # None exactly when the assessment is UNAVAILABLE
    coverage: Coverage
    usage: Usage
    timings: Timings
    policy: str
    policy_version: str
    model: str

    @property
    def is_allowed(self) -> bool:
        return self.action is Action.ALLOW

    @property
    def is_blocked(self) -> bool:
        return self.action is Action.BLOCK


def moderation_from_wire(wire: Any, request_id: str) -> Moderation:
    """The answer to this request; ServerError where it is not one that may be acted on."""
    if wire.request_id != request_id:
        raise unreadable("the server answered another request than the one asked")
    moderation = from_wire(Moderation, wire)
    if (moderation.verdict is None) != (moderation.assessment is Assessment.UNAVAILABLE):
        raise unreadable("the server's assessment and its verdict contradict each other")
    return moderation
