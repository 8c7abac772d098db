"""The Python client of the moderation service: needs neither torch nor the server.

with GuardClient("localhost:50051") as guard:
    if not guard.moderate([{"role": "user", "content": text}]).is_allowed: ...
"""

from guard_service.client.aio import AsyncGuardClient
from guard_service.client.batch import BatchItem
from guard_service.client.catalogue import (
    Limits,
    Policy,
    PolicyCategory,
    ReviewItem,
    ReviewReason,
    ServerInfo,
)
from guard_service.client.errors import (
    DeadlineExceeded,
    GuardError,
    InvalidRequest,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    ServerError,
    Unauthenticated,
    Unavailable,
    Violation,
)
from guard_service.client.message import Message, ModerationRequest, OnUnavailable, Role, ToolCall
from guard_service.client.moderation import (
    Action,
    Assessment,
    CategoryScore,
    Coverage,
    Moderation,
    Timings,
    Usage,
    Verdict,
)
from guard_service.client.sync import GuardClient

__all__ = [
    "Action",
    "Assessment",
    "AsyncGuardClient",
    "BatchItem",
    "CategoryScore",
    "Coverage",
    "DeadlineExceeded",
    "GuardClient",
    "GuardError",
    "InvalidRequest",
    "Limits",
    "Message",
    "Moderation",
    "ModerationRequest",
    "OnUnavailable",
    "Overloaded",
    "PermissionDenied",
    "Policy",
    "PolicyCategory",
    "QuotaExceeded",
    "ReviewItem",
    "ReviewReason",
    "Role",
    "ServerError",
    "ServerInfo",
    "Timings",
    "ToolCall",
    "Unauthenticated",
    "Unavailable",
    "Usage",
    "Verdict",
    "Violation",
]
