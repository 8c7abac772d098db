"""python from_rabbitmq.py inbox.db amqp://guest:guest@127.0.0.1/ guard.review"""

import asyncio
import sys

import aio_pika
from inbox import Inbox


async def consume(inbox: Inbox, url: str, topic: str) -> None:
    connection = await aio_pika.connect_robust(url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)  # what is not acknowledged comes first again
    # The server's own queue. For a second kind of consumer bind another one to the exchange.
    queue = await channel.declare_queue(topic, durable=True, arguments={"x-queue-type": "quorum"})
    async with queue.iterator() as messages:
        async for message in messages:
            inbox.take(message.body)
            await message.ack()


if __name__ == "__main__":
    asyncio.run(consume(Inbox(sys.argv[1]), *sys.argv[2:]))
