"""What happened to an item, as CloudEvents 1.0 JSON: one form for every reader, without text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

CONTENT_TYPE = "application/cloudevents+json"
_SOURCE = "/guard_service/review"


class EventKind(Enum):
    ADDED = "added"  # a decision that people will look at
    LOOKED = "looked"  # somebody said something, which stays untold while others are to look
    RESOLVED = "resolved"  # the outcome, and what each look said
    RETRACTED = "retracted"  # somebody took back what they said
    FLIPPED = "flipped"  # a shadow policy would have done otherwise
    APPEALED = "appealed"  # the outcome stands no longer: somebody else will look


@dataclass(frozen=True, slots=True)
class Event:
    id: str
    kind: EventKind
    item_id: str
    tenant: str
    occurred_at: datetime
    data: Mapping[str, Any] = field(repr=False)
    position: int = 0  # in the feed

    @property
    def type(self) -> str:
        return f"guard_service.review.{self.kind.value}"

    def to_json(self) -> str:
        """`partitionkey` is CloudEvents' own extension: events of one item belong in order."""
        return json.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": _SOURCE,
                "type": self.type,
                "subject": self.item_id,
                "time": self.occurred_at.isoformat(timespec="milliseconds"),
                "datacontenttype": "application/json",
                "partitionkey": self.item_id,
                "cursor": str(self.position),
                **({"tenant": self.tenant} if self.tenant else {}),
                "data": self.data,
            }
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """Events in their order, and the position to go on from: past what was not for the reader."""

    events: tuple[Event, ...]
    position: int
