"""What only the client for asyncio promises."""

import asyncio
import threading
from collections.abc import AsyncIterator

import grpc
import pytest
from client.scripted import ScriptedService

from guard_service.client import AsyncGuardClient
from guard_service.v1 import moderation_pb2 as pb


async def test_an_answer_comes_while_the_async_iterable_still_waits(target: str) -> None:
    answered = asyncio.Event()

    async def asked() -> AsyncIterator[str]:
        yield "first"
        await answered.wait()
        yield "second"

    indexes = []
    async with AsyncGuardClient(target) as guard:
        async for item in guard.moderate_batch(asked()):
            indexes.append(item.index)
            answered.set()
    assert indexes == [0, 1]


async def test_cancelling_the_caller_cancels_the_call(
    target: str, service: ScriptedService
) -> None:
    asked, left = threading.Event(), threading.Event()

    def wait(_: pb.ModerateRequest, context: grpc.ServicerContext) -> pb.ModerateResponse:
        context.add_callback(left.set)
        asked.set()
        left.wait(5)
        return pb.ModerateResponse()

    service.on_moderate = wait
    async with AsyncGuardClient(target) as guard:
        call = asyncio.create_task(guard.moderate("hello"))
        assert await asyncio.to_thread(asked.wait, 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(left.wait, 5)
