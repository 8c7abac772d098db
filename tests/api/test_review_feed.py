"""The feed over gRPC: whose events, from which cursor, for how long."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from credentials import entry, write_access
from in_process import Running, running

from guard_service.access.access import Access
from guard_service.access.key import NewKey, make_key
from guard_service.client import (
    AsyncGuardClient,
    FeedEvent,
    GuardError,
    InvalidRequest,
    PermissionDenied,
    ReviewClient,
    Unauthenticated,
    Unavailable,
)
from guard_service.config import Settings

CHAT, OTHER = make_key(), make_key()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    entries = entry(CHAT, tenant="acme"), entry(OTHER, tenant="beta")
    file = write_access(tmp_path / "access.json", *entries)
    async with running(Access(Settings(access_file=file))) as service:
        yield service


async def flag(service: Running, key: NewKey = CHAT) -> str:
    async with AsyncGuardClient(service.target, api_key=key.text) as client:
        return (await client.moderate("harm")).review_item_id


async def read(
    service: Running, num_events: int | None = None, **arguments: Any
) -> list[FeedEvent]:
    """With `num_events` it follows the feed until it has so many."""

    def call() -> list[FeedEvent]:
        key = arguments.pop("key", CHAT)
        with ReviewClient(service.target, api_key=key.text) as client:
            feed = client.feed(**arguments, follow=num_events is not None)
            return list(islice(feed, num_events))

    return await asyncio.to_thread(call)


async def test_a_tenant_reads_its_own_events_and_no_others(service: Running) -> None:
    await flag(service, OTHER)
    item_id = await flag(service)
    (event,) = await read(service, 1)
    assert (event.item_id, event.tenant) == (item_id, "acme")
    assert event.type == "guard_service.review.added"
    assert event.data["codes"] == ["S1"]
    assert json.loads(event.json)["specversion"] == "1.0"


async def test_a_reader_goes_on_after_its_cursor(service: Running) -> None:
    items = [await flag(service) for _ in range(3)]
    events = await read(service, 3)
    assert [event.item_id for event in events] == items
    rest = await read(service, cursor=events[0].cursor)
    assert [event.id for event in rest] == [event.id for event in events[1:]]
    assert await read(service, cursor=events[2].cursor) == []


async def test_a_reader_that_follows_gets_what_comes(service: Running) -> None:
    following = asyncio.create_task(read(service, 1))
    item_id = await flag(service)
    assert [event.item_id for event in await following] == [item_id]


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        ({"cursor": "999"}, InvalidRequest, "CURSOR_UNKNOWN"),
        ({"cursor": "-1"}, InvalidRequest, "INVALID_REQUEST"),
        ({"cursor": "nonsense"}, InvalidRequest, "INVALID_REQUEST"),
        ({"tenant": "beta"}, PermissionDenied, "FORBIDDEN"),
        ({"key": make_key()}, Unauthenticated, "UNAUTHENTICATED"),
    ],
)
async def test_what_cannot_be_read_is_told_by_its_own_reason(
    service: Running, arguments: dict[str, Any], kind: type[GuardError], reason: str
) -> None:
    with pytest.raises(kind) as error:
        await read(service, **arguments)
    assert error.value.reason == reason


async def test_a_feed_ends_with_its_next_event_once_its_key_is_revoked(
    service: Running, tmp_path: Path
) -> None:
    await flag(service)
    with ReviewClient(service.target, api_key=CHAT.text) as client:
        feed = client.feed(follow=True)
        await asyncio.to_thread(next, feed)
        write_access(tmp_path / "access.json", entry(OTHER, tenant="acme"))
        service.access.take(service.access.read_again({}))
        await flag(service, OTHER)
        with pytest.raises(Unauthenticated):
            await asyncio.to_thread(next, feed)


async def test_a_server_that_stops_sends_its_readers_away_at_once(service: Running) -> None:
    with ReviewClient(service.target, api_key=CHAT.text) as client:
        watching = client._watch("", "")
        await asyncio.to_thread(next, watching)
        stopping = asyncio.create_task(service.server.stop(0.0, 60.0))
        with pytest.raises(Unavailable):
            await asyncio.to_thread(next, watching)
        await stopping
