"""What happened to review items, as the client reads it from the feed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from guard_service.client.errors import unreadable


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """A CloudEvent. It can come again: it is known by its id. `cursor` is where to go on."""

    id: str
    type: (
        str  # "guard_service.review.added", ".looked", ".resolved", ".flipped", ... or a newer one
    )
    item_id: str
    tenant: str
    time: datetime
    data: Mapping[str, Any] = field(repr=False)
    cursor: str
    json: str = field(repr=False)  # the whole, as brokers and webhooks get it


def feed_event(text: str, cursor: str) -> FeedEvent:
    try:
        event = json.loads(text)
        return FeedEvent(
            id=event["id"],
            type=event["type"],
            item_id=event["subject"],
            tenant=event.get("tenant", ""),
            time=datetime.fromisoformat(event["time"]),
            data=event["data"],
            cursor=cursor,
            json=text,
        )
    except (ValueError, KeyError, TypeError):
        raise unreadable("the server sent an event that is none") from None
