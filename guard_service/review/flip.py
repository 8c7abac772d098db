"""Flips: what a shadow policy would have done differently. Events of the feed, without text."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from guard_service.policy import Action
from guard_service.review.event import EventKind
from guard_service.review.outbox import record
from guard_service.review.row import utc_from_ms
from guard_service.review.table import review_events

events = review_events.c


@dataclass(frozen=True, slots=True)
class Flip:
    """One reading on which the policy in force and its shadow differ about the action."""

    request_id: str
    tenant: str
    item_id: str  # empty: nobody looks at it
    policy: str
    policy_version: str
    shadow_version: str
    shadow_digest: str
    before: Action
    after: Action
    codes_before: tuple[str, ...]
    codes_after: tuple[str, ...]
    unsafe_score: float

    @property
    def category(self) -> str:
        """The strongest one of the side that blocks; `none` where it names none."""
        codes = self.codes_after if self.after is Action.BLOCK else self.codes_before
        return codes[0] if codes else "none"


def keep_flips(connection: Connection, flips: Sequence[Flip]) -> None:
    """An event each, of its item where there is one; else it has a subject of its own."""
    for flip in flips:
        subject = flip.item_id or uuid.uuid4().hex
        record(connection, EventKind.FLIPPED, subject, flip.tenant, _data(flip))


def read_flips(connection: Connection, shadow_digest: str = "") -> Iterator[Mapping[str, Any]]:
    """Of this shadow policy, or of all, oldest first; those whose events are still kept."""
    statement = select(events.data, events.occurred_ms)
    statement = statement.where(events.kind == EventKind.FLIPPED.value).order_by(events.sequence)
    for data, occurred_ms in connection.execute(statement):
        told = json.loads(data)
        if shadow_digest in ("", told["shadow_digest"]):
            yield {"at": utc_from_ms(occurred_ms).isoformat()} | told


def _data(flip: Flip) -> dict[str, Any]:
    return {
        "request_id": flip.request_id,
        "item": flip.item_id or None,
        "policy": flip.policy,
        "policy_version": flip.policy_version,
        "shadow_version": flip.shadow_version,
        "shadow_digest": flip.shadow_digest,
        "before": flip.before.value,
        "after": flip.after.value,
        "category": flip.category,
        "categories_before": list(flip.codes_before),
        "categories_after": list(flip.codes_after),
        "unsafe_score": flip.unsafe_score,
    }
