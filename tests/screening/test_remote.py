"""The judge that is a server, against one in this loop with a scripted model."""

from dataclasses import replace

import pytest
from in_process import Running, running
from screened_items import items
from scripted import SAFE, UNSAFE

from guard_service.access.access import Access
from guard_service.client import AsyncGuardClient
from guard_service.config import Settings
from guard_service.conversation import Limits
from guard_service.errors import EngineUnavailable, Overloaded, Unavailable
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.remote import Expected, RemoteJudge

EXPECTED = Expected("test", "1", "scripted")


def judge(client: AsyncGuardClient, patience_s: float = 60.0) -> RemoteJudge:
    return RemoteJudge(client, EXPECTED, "digest", Limits(max_conversation_bytes=1000), patience_s)


async def test_readings_come_with_the_answers_in_the_order_of_the_items() -> None:
    async with running(Access(Settings())) as server, AsyncGuardClient(server.target) as client:
        safe, unsafe, long, blank = await judge(client).judge(
            items("fine", "harm", "x" * 2000, "also fine")
        )
    assert isinstance(safe, Judgement)
    assert isinstance(unsafe, Judgement)
    assert (safe.worst.unsafe_score, unsafe.worst.unsafe_score) == (
        SAFE.unsafe_score,
        UNSAFE.unsafe_score,
    )
    assert (unsafe.action, unsafe.codes, unsafe.worst.listed) == ("block", ("S1",), ("S1",))
    assert isinstance(long, Unjudged)
    assert "2000 UTF-8 bytes" in long.reason
    assert isinstance(blank, Judgement)


async def test_what_passes_is_asked_again_until_patience_ends() -> None:
    async with running(Access(Settings())) as server, AsyncGuardClient(server.target) as client:
        server.reader.error = Overloaded()
        asked = judge(client)
        answers = await _meanwhile(asked.judge(items("fine", "harm")), server)
        assert all(isinstance(answer, Judgement) for answer in answers)
        server.reader.error = EngineUnavailable()
        with pytest.raises(Unavailable, match="no answer for 0 s"):
            await judge(client, patience_s=0.0).judge(items("fine"))


async def test_a_server_whose_policy_was_exchanged_ends_the_run() -> None:
    async with running(Access(Settings())) as server, AsyncGuardClient(server.target) as client:
        other = replace(judge(client), expected=replace(EXPECTED, policy_version="2"))
        with pytest.raises(Unavailable, match="exchanged"):
            await other.judge(items("fine"))


async def _meanwhile(judging, server: Running):  # type: ignore[no-untyped-def]
    """Let the server refuse until it was asked twice, then let it answer."""
    import asyncio

    task = asyncio.create_task(judging)
    while len(server.reader.callers) < 3:
        await asyncio.sleep(0)
    server.reader.error = None
    return await task
