import asyncio
import socket

import pytest
from scripted import UNSAFE

from guard_service.engine.message import Batch, BatchRead, Piece, frame, receive, receive_blocking
from guard_service.prompt import Prefix


async def test_messages_cross_in_both_ways() -> None:
    batch = Batch((Piece(1, Prefix((1,), ("S1",)), (2, 3)),), (4,))
    read = BatchRead((1,), (UNSAFE,), 1.5)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frame(batch))
        assert receive_blocking(theirs) == batch
    reader = asyncio.StreamReader()
    reader.feed_data(frame(read) + frame(batch))
    assert [await receive(reader), await receive(reader)] == [read, batch]


async def test_a_closed_end_is_told_apart_from_a_message() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        assert receive_blocking(theirs) is None
    reader = asyncio.StreamReader()
    reader.feed_data(frame(Batch(()))[:-1])
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await receive(reader)
