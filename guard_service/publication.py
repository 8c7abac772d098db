"""The feed while the server runs: kept in order, published to the sinks of the settings."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from guard_service.config import Settings
from guard_service.review.feed import Feed
from guard_service.review.relay import Relay, Sink
from guard_service.review.store import ReviewStore
from guard_service.sight.observed import ObservedSink


@dataclass(frozen=True, slots=True)
class Publication:
    feed: Feed
    relays: dict[str, Relay]  # by the sink's name


@asynccontextmanager
async def publishing(
    settings: Settings, store: ReviewStore, sinks: Sequence[Sink]
) -> AsyncIterator[Publication]:
    """Sinks that do not answer keep nobody waiting: events stay until they do."""
    feed = Feed(store.database, settings.feed_days * 86400)
    relays = {sink.name: Relay(feed, ObservedSink(sink)) for sink in sinks}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(feed.running())
        for relay in relays.values():
            await stack.enter_async_context(relay.running())
        yield Publication(feed, relays)
