"""What is answered: moderations, and what the server can tell of itself and of its reviews."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from guard_service.client.message import OnUnavailable, Role


class Action(Enum):
    ALLOW = "allow"
    BLOCK = "block"


class Assessment(Enum):
    """How much of the request was judged."""

    COMPLETE = "complete"
    PARTIAL = "partial"  # the judged message whole, part of its context not: see coverage
    UNAVAILABLE = "unavailable"  # the model could not be asked; the action is the fallback


class TextSign(Enum):
    """What was noticed of the text itself, whatever the verdict; no proof of ill will."""

    UNKNOWN = "unknown"  # of a newer server
    DELIMITER = "delimiter"
    ROLE = "role"
    HIDDEN = "hidden"
    BIDI = "bidi"
    INVISIBLE = "invisible"
    LOOKALIKE = "lookalike"
    UNSUPPORTED_LANGUAGE = "unsupported_language"


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
    message: int = 0  # number of the message with which the worst window ends
    cleaned: bool = False  # the worst window is of the text without its disguise

    @property
    def flagged(self) -> tuple[CategoryScore, ...]:
        """Flagged categories, the strongest first."""
        return tuple(sorted((c for c in self.categories if c.flagged), key=lambda c: -c.score))


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model read in one window, before any threshold."""

    unsafe_score: float
    label_mass: float
    first_scores: tuple[float, ...]  # of the policy's categories; together they are 1
    listed: tuple[str, ...]


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
    text_signs: tuple[TextSign, ...] = ()
    readings: tuple[Reading, ...] = ()  # if asked for: of every window, the worst first

    @property
    def is_allowed(self) -> bool:
        return self.action is Action.ALLOW

    @property
    def is_blocked(self) -> bool:
        return self.action is Action.BLOCK


@dataclass(frozen=True, slots=True)
class PolicyCategory:
    code: str
    name: str
    definition: str
    threshold: float | None  # None: the category follows the base decision
    action: Action


@dataclass(frozen=True, slots=True)
class Policy:
    id: str
    version: str
    digest: str  # equal digests decide equally
    description: str
    threshold: float
    on_unavailable: OnUnavailable
    categories: tuple[PolicyCategory, ...]
    is_default: bool


@dataclass(frozen=True, slots=True)
class Limits:
    max_messages: int
    max_conversation_bytes: int
    max_window_tokens: int
    max_concurrent_requests: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
    model: str
    model_digest: str
    device: str
    dtype: str
    development_model: bool  # the embedded one, not Llama Guard 3 itself
    server_version: str
    limits: Limits


class ReviewReason(Enum):
    BLOCKED = "blocked"
    UNCERTAIN = "uncertain"
    FLAGGED = "flagged"
    SAMPLED = "sampled"
    TEXT_SIGN = "text_sign"
    UNAVAILABLE = "unavailable"  # no verdict: the fallback was used
    UNKNOWN = "unknown"  # a reason newer than this client


@dataclass(frozen=True, slots=True)
class ReviewItem:
    id: str
    request_id: str
    created_at: datetime  # UTC
    reason: ReviewReason
    action: Action
    judged_role: Role
    unsafe_score: float | None  # None: there was no verdict
    codes: tuple[str, ...]  # flagged categories, the strongest first
    policy: str
    policy_version: str
    model: str
    conversation_digest: str
    labels: Mapping[str, str] = field(repr=False)
