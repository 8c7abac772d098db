"""What is slow to compute is computed for a twentieth of the time, however often it is asked."""

import asyncio
from dataclasses import dataclass

import pytest

from guard_service.web.recent import Recent


@dataclass
class Slow:
    """Answers with how often it was asked; each time takes so long on its own clock."""

    took_s: float
    now_s: float = 0.0
    num_asked: int = 0
    fails: bool = False

    def clock(self) -> float:
        return self.now_s

    async def compute(self) -> int:
        await asyncio.sleep(0)
        self.num_asked += 1
        self.now_s += self.took_s
        if self.fails:
            raise LookupError
        return self.num_asked


async def test_what_is_quick_is_computed_each_time() -> None:
    slow = Slow(0.01)
    recent = Recent[int](slow.clock)
    assert [await recent.get("a", slow.compute) for _ in range(3)] == [1, 2, 3]


async def test_what_is_slow_is_good_for_twenty_times_as_long_and_shown_once_more_after_that() -> (
    None
):
    slow = Slow(1.0)
    recent = Recent[int](slow.clock)
    assert await recent.get("a", slow.compute) == 1
    slow.now_s += 19
    assert await recent.get("a", slow.compute) == 1
    slow.now_s += 2
    assert await recent.get("a", slow.compute) == 1
    await asyncio.sleep(0.01)  # it was being computed meanwhile
    assert await recent.get("a", slow.compute) == 2
    assert slow.num_asked == 2


async def test_what_is_old_is_not_shown_again() -> None:
    slow = Slow(1.0)
    recent = Recent[int](slow.clock)
    await recent.get("a", slow.compute)
    slow.now_s += 601
    assert await recent.get("a", slow.compute) == 2


async def test_many_who_ask_at_once_wait_for_one_and_others_get_their_own() -> None:
    slow = Slow(1.0)
    recent = Recent[int](slow.clock)
    asked = [recent.get(key, slow.compute) for key in "aaab"]
    assert await asyncio.gather(*asked) == [1, 1, 1, 2]


async def test_an_error_is_told_for_a_moment_and_then_it_is_tried_again() -> None:
    slow = Slow(1.0, fails=True)
    recent = Recent[int](slow.clock)
    for _ in range(2):
        with pytest.raises(LookupError):
            await recent.get("a", slow.compute)
    slow.fails = False
    slow.now_s += 6
    assert await recent.get("a", slow.compute) == 2


async def test_what_nobody_waits_for_is_computed_all_the_same() -> None:
    slow = Slow(1.0)
    recent = Recent[int](slow.clock)
    asked = asyncio.create_task(recent.get("a", slow.compute))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.sleep(0.01)
    assert await recent.get("a", slow.compute) == 1


async def test_one_is_computed_at_a_time() -> None:
    recent, now, most = Recent[int](), 0, 0

    async def compute() -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return most

    await asyncio.gather(*(recent.get(key, compute) for key in "abc"))
    assert most == 1
