"""Between rows and nouns."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping

from guard_service.conversation import Role
from guard_service.decision import ReviewReason
from guard_service.policy import Action
from guard_service.review.item import SUBJECT_LABEL, Lane, Outcome, Place, Resolution, ReviewItem


def row_from_item(item: ReviewItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "request_id": item.request_id,
        "conversation_digest": item.conversation_digest,
        "created_at": item.created_at,
        "reason": item.reason.value,
        "action": item.action.value,
        "judged_role": item.judged_role.value,
        "unsafe_score": item.unsafe_score,
        "codes": ",".join(item.codes),
        "policy": item.policy,
        "policy_version": item.policy_version,
        "model": item.model,
        "scores": json.dumps(dict(item.scores)),
        "judged_message": item.judged_message,
        "labels": json.dumps(dict(item.labels)),
        "tenant": item.tenant,
        "subject": item.labels.get(SUBJECT_LABEL, ""),
        "lane": item.place.lane.value,
        "level": item.place.level,
        "category": item.place.category,
        "language": item.place.language,
        "opened_ms": int(item.created_at.timestamp() * 1000),
        "looks_wanted": item.place.looks_wanted,
        "inclusion": item.place.inclusion,
    }


def item_from_row(row: RowMapping, **given: Any) -> ReviewItem:
    return ReviewItem(
        id=row["id"],
        request_id=row["request_id"],
        created_at=_utc(row["created_at"]),
        reason=ReviewReason(row["reason"]),
        action=Action(row["action"]),
        judged_role=Role(row["judged_role"]),
        unsafe_score=row["unsafe_score"],
        codes=codes_from_text(row["codes"]),
        policy=row["policy"],
        policy_version=row["policy_version"],
        model=row["model"],
        conversation_digest=row["conversation_digest"],
        scores=json.loads(row["scores"]),
        judged_message=row["judged_message"],
        labels=json.loads(row["labels"]),
        tenant=row["tenant"],
        place=Place(
            Lane(row["lane"]),
            row["level"],
            row["category"],
            row["language"],
            row["looks_wanted"],
            inclusion=row["inclusion"],
        ),
        **given,
    )


def data_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the event of a new item tells: what the item is, not how it will be shown to people."""
    told = (
        "request_id",
        "conversation_digest",
        "reason",
        "action",
        "judged_role",
        "unsafe_score",
        "policy",
        "policy_version",
        "model",
    )
    return {name: row[name] for name in told} | {
        "created_at": row["created_at"].isoformat(),
        "codes": list(codes_from_text(row["codes"])),
        "labels": json.loads(row["labels"]),
    }


def decision_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit log keeps for ever: nothing that the caller wrote, nor a hash of it."""
    told = "reason", "action", "unsafe_score", "codes", "policy", "policy_version", "model"
    return {name: row[name] for name in told}


def resolution_from_row(row: RowMapping) -> Resolution:
    return Resolution(
        row["look"],
        row["reviewer"],
        Outcome(row["outcome"]),
        codes_from_text(row["codes"]),
        utc_from_ms(row["resolved_ms"]),
        row["note"],
    )


def codes_from_text(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def utc_from_ms(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _utc(value: datetime) -> datetime:
    """SQLite keeps no time zone; all times are written as UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
