import json
from datetime import UTC, datetime

import pytest

from guard_service.client import FeedEvent, ServerError
from guard_service.client.feed import feed_event

SENT = {
    "specversion": "1.0",
    "id": "e1",
    "type": "guard_service.review.resolved",
    "subject": "i1",
    "time": "2026-01-02T03:04:05.678+00:00",
    "data": {"outcome": "upheld"},
    "of a newer server": 1,
}


def test_an_event_is_read_by_its_attributes_and_kept_whole() -> None:
    text = json.dumps(SENT)
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    data = {"outcome": "upheld"}
    assert feed_event(text, "7") == FeedEvent(
        "e1", str(SENT["type"]), "i1", "", at, data, "7", text
    )


@pytest.mark.parametrize("text", ["nonsense", "[]", "{}", json.dumps(SENT | {"time": "noon"})])
def test_what_is_no_event_is_the_servers_error(text: str) -> None:
    with pytest.raises(ServerError):
        feed_event(text, "7")
