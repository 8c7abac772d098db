"""What the server can tell of itself: its policies, its model and limits, what waits for review."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from guard_service.client.message import OnUnavailable, Role
from guard_service.client.moderation import Action
from guard_service.client.wire import enum_from_wire, from_wire
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2


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
    return [
        from_wire(
            Policy,
            wire,
            on_unavailable=enum_from_wire(OnUnavailable, pb.OnUnavailable, wire.on_unavailable),
            categories=tuple(_category(category) for category in wire.categories),
            is_default=wire.id == page.default_policy,
        )
        for wire in page.policies
    ]


def server_info_from_wire(wire: Any) -> ServerInfo:
    return from_wire(ServerInfo, wire, limits=from_wire(Limits, wire.limits))


def review_items_from_wire(page: Any) -> list[ReviewItem]:
    return [
        from_wire(
            ReviewItem,
            wire,
            created_at=wire.created_at.ToDatetime(tzinfo=UTC),
            reason=enum_from_wire(ReviewReason, review_pb2.ReviewReason, wire.reason),
            action=enum_from_wire(Action, pb.Action, wire.action),
            judged_role=enum_from_wire(Role, pb.Role, wire.judged_role),
            codes=tuple(wire.codes),
            labels=dict(wire.labels),
        )
        for wire in page.items
    ]


def _category(wire: Any) -> PolicyCategory:
    return from_wire(
        PolicyCategory,
        wire,
        threshold=wire.threshold if wire.HasField("threshold") else None,
        action=enum_from_wire(Action, pb.Action, wire.action),
    )
