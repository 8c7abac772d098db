"""python from_kafka.py inbox.db 127.0.0.1:9092 guard.review"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer
from inbox import Inbox


async def consume(inbox: Inbox, servers: str, topic: str) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id="example",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        async for message in consumer:
            inbox.take(message.value)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(consume(Inbox(sys.argv[1]), *sys.argv[2:]))
