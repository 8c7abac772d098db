import asyncio
import math
from contextlib import AsyncExitStack
from typing import Any

import pytest

from guard_service.access.principal import ANYONE
from guard_service.api.admission import Door
from guard_service.api.handler import Call
from guard_service.api.moderation import ModerationService
from guard_service.batching.entry import Arrival
from guard_service.conversation import Limits
from guard_service.errors import Overloaded
from guard_service.pipeline import Check
from guard_service.quota.budget import Quota
from guard_service.quota.limiter import LocalLimiter
from guard_service.quota.meter import Meter
from guard_service.v1 import moderation_pb2 as pb

METER = Meter(LocalLimiter(), lambda _: Quota())


async def test_the_door_refuses_over_its_limit_wave_after_wave() -> None:
    door = Door(2)
    for _ in range(4):
        async with AsyncExitStack() as inside:
            for _ in range(2):
                await inside.enter_async_context(door.interactive("a"))
            for _ in range(8):
                with pytest.raises(Overloaded):
                    await inside.enter_async_context(door.interactive("a"))


async def test_bulk_work_waits_and_leaves_half_for_interactive_calls() -> None:
    door = Door(4)
    inside = 0
    leave = asyncio.Event()

    async def item() -> None:
        nonlocal inside
        async with door.bulk():
            inside += 1
            await leave.wait()

    items = [asyncio.create_task(item()) for _ in range(10)]
    await asyncio.sleep(0)
    assert inside == 2
    async with door.interactive("a"), door.interactive("a"):
        pass
    leave.set()
    await asyncio.gather(*items)
    assert inside == 10


async def test_who_leaves_with_an_error_frees_the_place() -> None:
    door = Door(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with door.interactive("a"):
                raise ZeroDivisionError


async def test_one_caller_cannot_take_every_place() -> None:
    door = Door(16)
    async with AsyncExitStack() as inside:
        with pytest.raises(Overloaded):
            for _ in range(16):
                await inside.enter_async_context(door.interactive("greedy"))
        for number in range(4):
            await inside.enter_async_context(door.interactive(f"other {number}"))
        with pytest.raises(Overloaded):
            await inside.enter_async_context(door.interactive("one too many"))


async def test_bytes_are_counted_and_one_request_alone_always_fits() -> None:
    door = Door(8, max_concurrent_bytes=100)
    async with door.interactive("a", 500):
        with pytest.raises(Overloaded):
            async with door.interactive("b", 1):
                pass
    async with door.interactive("a", 60), door.interactive("b", 40):
        with pytest.raises(Overloaded):
            async with door.interactive("c", 1):
                pass


async def test_bulk_work_waits_for_its_half_of_the_bytes() -> None:
    door = Door(8, max_concurrent_bytes=100)
    inside = 0
    leave = asyncio.Event()

    async def item() -> None:
        nonlocal inside
        async with door.bulk(25):
            inside += 1
            await leave.wait()

    items = [asyncio.create_task(item()) for _ in range(4)]
    await asyncio.sleep(0)
    assert inside == 2
    async with door.interactive("a", 50):
        pass
    leave.set()
    await asyncio.gather(*items)
    assert inside == 4


async def test_who_would_wait_too_long_is_refused() -> None:
    door = Door(8, enter=lambda peer: None if peer == "crowding" else Arrival())
    async with door.interactive("other"):
        with pytest.raises(Overloaded):
            async with door.interactive("crowding"):
                pass


async def test_who_is_let_in_is_expected_until_it_asks_or_leaves() -> None:
    ended: list[str] = []
    door = Door(8, enter=lambda peer: Arrival(lambda: ended.append(peer)))
    async with door.interactive("asks") as arrival:
        assert ended == []
        arrival.end()
        assert ended == ["asks"]
    with pytest.raises(ZeroDivisionError):
        async with door.interactive("leaves"):
            raise ZeroDivisionError
    assert ended == ["asks", "leaves"]


async def test_who_is_refused_never_reaches_what_could_fall_back() -> None:
    refusing = Door(8, enter=lambda _: None)
    nothing: Any = None
    service = ModerationService(nothing, refusing, METER, lambda: pytest.fail("not asked"))
    with pytest.raises(Overloaded):
        await service.moderate(pb.ModerateRequest(), Call(ANYONE, "a", math.inf))


async def test_a_call_without_a_deadline_gets_the_servers_own() -> None:
    class Asked(Exception):
        pass

    class Pipeline:
        limits, default_policy = Limits(), "default"

        async def moderate(self, check: Check) -> None:
            raise Asked(check.caller.deadline_s - asyncio.get_running_loop().time())

    now_s = asyncio.get_running_loop().time()
    pipeline: Any = Pipeline()
    service = ModerationService(pipeline, Door(8), METER, lambda: pytest.fail("not asked"), 30.0)
    for deadline_s, at_most_s in ((math.inf, 30), (now_s + 7, 7), (now_s + 90, 30)):
        with pytest.raises(Asked) as asked:
            await service.moderate(pb.ModerateRequest(), Call(ANYONE, "a", deadline_s))
        assert at_most_s - 2 < asked.value.args[0] <= at_most_s
