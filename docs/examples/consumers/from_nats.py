"""python from_nats.py inbox.db nats://127.0.0.1:4222 guard.review"""

import asyncio
import sys

import nats
from inbox import Inbox
from nats.errors import TimeoutError
from nats.js.api import ConsumerConfig


async def consume(inbox: Inbox, url: str, topic: str) -> None:
    client = await nats.connect(url)
    # One at a time: what is not acknowledged comes again later, after what else was under way.
    in_order = ConsumerConfig(max_ack_pending=1)
    messages = await client.jetstream().pull_subscribe(topic, durable="example", config=in_order)
    while True:
        try:
            (message,) = await messages.fetch(1)
        except TimeoutError:
            continue
        inbox.take(message.data)
        await message.ack()


if __name__ == "__main__":
    asyncio.run(consume(Inbox(sys.argv[1]), *sys.argv[2:]))
