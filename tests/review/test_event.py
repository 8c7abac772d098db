import json
from datetime import UTC, datetime

from guard_service.review.event import Event, EventKind

EVENT = Event(
    id="e" * 32,
    kind=EventKind.RESOLVED,
    item_id="1" * 32,
    tenant="acme",
    occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    data={"outcome": "upheld"},
    position=7,
)


def test_an_event_has_the_attributes_of_cloudevents() -> None:
    assert json.loads(EVENT.to_json()) == {
        "specversion": "1.0",
        "id": "e" * 32,
        "source": "/guard_service/review",
        "type": "guard_service.review.resolved",
        "subject": "1" * 32,
        "time": "2026-01-02T03:04:05.678+00:00",
        "datacontenttype": "application/json",
        "partitionkey": "1" * 32,
        "cursor": "7",
        "tenant": "acme",
        "data": {"outcome": "upheld"},
    }


def test_what_an_event_tells_is_not_in_its_repr() -> None:
    assert "upheld" not in repr(EVENT)
