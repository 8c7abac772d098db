import asyncio
import logging
import time

import pytest

from guard_service.stall import LoopWatch


async def test_a_loop_that_stands_still_is_told_with_its_place_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with LoopWatch(asyncio.get_running_loop(), max_stall_s=0.05) as watch:
        for _ in range(2):
            time.sleep(0.3)
            while caplog.records[-1:] and caplog.records[-1].action == "loop_stalled":  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
    assert watch.num_stalls == 2
    actions = [record.action for record in caplog.records]  # type: ignore[attr-defined]
    assert actions == ["loop_stalled", "loop_goes_on"] * 2
    assert "time.sleep(0.3)" in caplog.text


async def test_a_busy_loop_that_turns_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.INFO),
        LoopWatch(asyncio.get_running_loop(), max_stall_s=0.5) as watch,
    ):
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            await asyncio.sleep(0)
    assert watch.num_stalls == 0
    assert not caplog.records
