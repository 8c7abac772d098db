"""The nouns of review: an item is one decision that people will look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from guard_service.conversation import Conversation, Role
from guard_service.decision import ReviewReason
from guard_service.evidence import Evidence
from guard_service.policy import Action

SUBJECT_LABEL = "subject"  # whom the conversation is of, by the caller's own id


class Lane(Enum):
    """Which share of the reviewers' time an item waits for."""

    RANKED = "ranked"  # what most needs a human first
    RANDOM = "random"  # drawn from all that nobody would look at otherwise: honest measurement
    GOLDEN = "golden"  # the answer is known: measures reviewers, who are not told
    CLOSED = "closed"


class Outcome(Enum):
    """What a human says of the model's decision."""

    UPHELD = "upheld"
    OVERTURNED = "overturned"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item waits, and what it asks of people."""

    lane: Lane = Lane.RANKED
    level: int = 8  # of urgency, see priority.py
    category: str = ""  # the strongest flagged one
    language: str = ""
    looks_wanted: int = 1  # by different people
    keep_text_s: int = 0  # 0: the text is not stored
    inclusion: float | None = 1.0  # how probable it was that people see it; None: not known


@dataclass(frozen=True, slots=True)
class ReviewItem:
    id: str
    request_id: str
    created_at: datetime  # UTC
    reason: ReviewReason
    action: Action
    judged_role: Role
    unsafe_score: float | None  # None: not judged, and the action is the fallback
    codes: tuple[str, ...]  # flagged categories, the strongest first
    policy: str
    policy_version: str
    model: str
    conversation_digest: str
    scores: Mapping[str, float] = field(default_factory=dict)  # by category
    judged_message: int | None = None  # the one that the verdict is of; None: the last
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    tenant: str = ""  # whose it is; empty where callers are not known
    place: Place = Place()
    # Only on their way to the disk, and for who holds a claim.
    conversation: Conversation | None = field(default=None, repr=False, compare=False)
    evidence: Evidence | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Resolution:
    look: int
    reviewer: str
    outcome: Outcome
    codes: tuple[str, ...]  # the categories that the reviewer saw
    resolved_at: datetime
    note: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """An item and what people said of it, which is empty while they may still be influenced."""

    item: ReviewItem
    outcome: Outcome | None = None
    is_appealed: bool = False
    resolutions: tuple[Resolution, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    items: tuple[ReviewItem, ...]
    next_cursor: int | None  # None on the last page
