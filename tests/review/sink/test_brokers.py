"""Each broker as it is."""

import asyncio
import gc
import warnings

import aio_pika
import nats
import pytest
import redis
from brokers import broker_of, free_port
from review_items import item

from guard_service.config import Settings
from guard_service.errors import SinkUnavailable
from guard_service.review.event import Event, EventKind
from guard_service.review.row import data_of_row, row_from_item, utc_from_ms
from guard_service.review.sink.choice import open_sinks


def event(number: int) -> Event:
    made, at = item(number), utc_from_ms(number)
    return Event(
        f"{number:032x}",
        EventKind.ADDED,
        made.id,
        "acme",
        at,
        data_of_row(row_from_item(made)),
        number,
    )


EVENTS = [event(number) for number in range(1, 4)]


async def test_nats_keeps_what_is_sent_twice_once() -> None:
    async with broker_of("nats") as broker:
        (sink,) = open_sinks(broker.settings)
        await sink.publish(EVENTS)
        await sink.publish(EVENTS)
        await sink.close()
        client = await nats.connect(broker.url)
        stream = await client.jetstream().stream_info(broker.topic.replace(".", "_"))
        await client.close()
    assert stream.state.messages == 3


async def test_rabbitmq_says_so_where_no_queue_takes_an_event() -> None:
    async with broker_of("rabbitmq") as broker:
        (sink,) = open_sinks(broker.settings)
        await sink.publish(EVENTS)
        async with await aio_pika.connect(broker.url) as connection:
            await (await connection.channel()).queue_delete(broker.topic)
        with pytest.raises(SinkUnavailable, match="PublishError"):
            await sink.publish(EVENTS)
        await sink.publish(EVENTS)  # by a new connection, which makes the queue again
        await sink.close()


async def test_redis_has_the_events_in_order() -> None:
    async with broker_of("redis") as broker:
        (sink,) = open_sinks(broker.settings)
        await sink.publish(EVENTS)
        await sink.close()
        with redis.Redis.from_url(broker.url) as client:
            entries = client.xrange(broker.topic)
    assert [fields[b"event"].decode() for _, fields in entries] == [e.to_json() for e in EVENTS]


@pytest.mark.parametrize("name", ["nats", "rabbitmq", "redis", "kafka"])
async def test_a_broker_that_is_away_is_a_failure_in_time(
    name: str,
) -> None:
    async with broker_of(name) as broker:
        (sink,) = open_sinks(broker.at_port(free_port()).settings)
        async with asyncio.timeout(30):
            with pytest.raises(SinkUnavailable):
                await sink.publish(EVENTS)
        (sink,) = open_sinks(broker.settings)
        await sink.publish(EVENTS)
        await sink.close()


async def test_what_greets_as_no_nats_would_is_left_with_nothing_open() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (sink,) = open_sinks(Settings(feed_url=f"nats://127.0.0.1:{port}"))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with pytest.raises(SinkUnavailable):
                await sink.publish(EVENTS)
            gc.collect()
    assert not [each for each in told if each.category is ResourceWarning]
