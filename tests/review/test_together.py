import asyncio
from collections.abc import Sequence

import pytest

from guard_service.errors import StoreUnavailable
from guard_service.review.together import Together


class Disk:
    """Takes what it is given once it may, but nothing with a bad number."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []
        self.may_write = asyncio.Event()

    async def write(self, numbers: Sequence[int]) -> list[str]:
        await self.may_write.wait()
        self.written.append(list(numbers))
        if 13 in numbers:
            raise StoreUnavailable("13")
        return [f"number {number}" for number in numbers]


async def begun(together: "Together[int, str]", *numbers: int) -> list["asyncio.Task[str]"]:
    """Calls for each of them, all of which wait."""
    calls = [asyncio.create_task(together.add(number)) for number in numbers]
    await asyncio.sleep(0.01)
    return calls


async def test_who_comes_during_a_write_shares_the_next_and_gets_their_own_answer() -> None:
    disk = Disk()
    together = Together(disk.write, 3)
    first = await begun(together, 0)
    later = await begun(together, 1, 2, 3, 4)
    disk.may_write.set()
    assert await asyncio.gather(*first, *later) == [f"number {number}" for number in range(5)]
    assert disk.written == [[0], [1, 2, 3], [4]]


async def test_what_cannot_be_written_takes_nobody_with_it() -> None:
    disk = Disk()
    together = Together(disk.write, 10)
    calls = await begun(together, 0, 12, 13, 14)
    disk.may_write.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert results[1::2] == ["number 12", "number 14"]
    assert isinstance(results[2], StoreUnavailable)
    assert disk.written[-3:] == [[12], [13], [14]]


async def test_what_a_caller_has_left_is_written_all_the_same() -> None:
    disk = Disk()
    together = Together(disk.write, 10)
    one, other, another = await begun(together, 0, 1, 2)
    other.cancel()
    disk.may_write.set()
    assert await asyncio.gather(one, another) == ["number 0", "number 2"]
    assert disk.written == [[0, 1, 2]]


async def test_finishing_waits_for_what_callers_have_left() -> None:
    disk = Disk()
    together = Together(disk.write, 1)
    calls = await begun(together, 0, 1)
    for call in calls:
        call.cancel()
    disk.may_write.set()
    await together.finish()
    assert disk.written == [[0], [1]]


async def test_after_a_failure_the_next_is_written() -> None:
    disk = Disk()
    together = Together(disk.write, 10)
    disk.may_write.set()
    with pytest.raises(StoreUnavailable):
        await together.add(13)
    assert await together.add(14) == "number 14"
