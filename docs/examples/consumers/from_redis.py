"""python from_redis.py inbox.db redis://127.0.0.1:6379/0 guard.review"""

import sys
from contextlib import suppress

from inbox import Inbox
from redis import Redis
from redis.exceptions import ResponseError

GROUP, NAME = "example", "one"


def consume(inbox: Inbox, url: str, topic: str) -> None:
    client = Redis.from_url(url)
    with suppress(ResponseError):  # it is there
        client.xgroup_create(topic, GROUP, id="0", mkstream=True)
    after = "0"  # first what was read before and not acknowledged
    while True:
        answer = client.xreadgroup(GROUP, NAME, {topic: after}, count=100, block=1000)
        entries = answer[0][1] if answer else []
        for entry_id, fields in entries:
            inbox.take(fields[b"event"])
            client.xack(topic, GROUP, entry_id)
        if not entries:
            after = ">"  # then what nobody has read


if __name__ == "__main__":
    consume(Inbox(sys.argv[1]), *sys.argv[2:])
