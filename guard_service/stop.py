"""What signals mean: the first SIGTERM or SIGINT asks for a drain, the second ends at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

_STOPS = (signal.SIGTERM, signal.SIGINT)


def stop_signal() -> asyncio.Event:
    """Set by the first signal; whichever comes second ends the process with status 128 + n."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def drain() -> None:
        stopping.set()
        for number in _STOPS:
            loop.remove_signal_handler(number)
            # Not the default action: the first process of a container is immune to that.
            signal.signal(number, _end_at_once)

    for number in _STOPS:
        loop.add_signal_handler(number, drain)
    return stopping


def on_hangup(reload: Callable[[], None]) -> None:
    """Reload on SIGHUP, which by default would end the process."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _end_at_once(number: int, _: FrameType | None) -> None:
    """The engine ends by itself, as its socket closes; the database is safe as in a crash."""
    os._exit(128 + number)


async def until_stopped(stopping: asyncio.Event, work: Coroutine[Any, Any, object]) -> None:
    """Do the work and wait for the signal, which may come before the work is done."""
    working = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not stop.done():
            await working
            await stop
    finally:
        for task in (working, stop):
            task.cancel()
        await asyncio.gather(working, stop, return_exceptions=True)
