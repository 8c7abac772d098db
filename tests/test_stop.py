"""Signals, as a process of its own meets them."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, time
from guard_service.stop import stop_signal

async def main():
    stopping = stop_signal()
    print("ready", flush=True)
    await stopping.wait()
    print("draining", flush=True)
    time.sleep(60)  # not even the event loop turns

asyncio.run(main())
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_any_second_ends_at_once(
    first: signal.Signals, second: signal.Signals
) -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(first)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(second)
        assert process.wait(5) == 128 + second
