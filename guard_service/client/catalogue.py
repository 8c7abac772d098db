"""What the server can tell of itself: its policies, its model and limits, what waits for review."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from guard_service.client.message import OnUnavailable, Role
from guard_service.client.moderation import Action
from guard_service.client.wire import from_wire


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
    UNKNOWN = "unknown"  # a reason newer than this client


@dataclass(frozen=True, slots=True)
class ReviewItem:
    id: str
    request_id: str
    created_at: datetime  # UTC
    reason: ReviewReason
    action: Action
    judged_role: Role
    unsafe_score: float
    codes: tuple[str, ...]  # flagged categories, the strongest first
    policy: str
    policy_version: str
    model: str
    conversation_digest: str
    labels: Mapping[str, str] = field(repr=False)


def policies_from_wire(page: Any) -> list[Policy]:
    default = page.default_policy
    return [from_wire(Policy, wire, is_default=wire.id == default) for wire in page.policies]
