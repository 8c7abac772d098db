"""A review item: one decision that people will look at. Holds no text of the conversation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from guard_service.conversation import Role
from guard_service.decision import ReviewReason
from guard_service.policy import Action


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
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    tenant: str = ""  # whose it is; empty where callers are not known


@dataclass(frozen=True, slots=True)
class Page:
    items: tuple[ReviewItem, ...]
    next_cursor: int | None  # None on the last page
