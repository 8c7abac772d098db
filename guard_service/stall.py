"""Sees from a thread of its own that the event loop stands still; tells where, kills nothing."""

import logging
import sys
import threading
import time
import traceback
from asyncio import AbstractEventLoop

log = logging.getLogger(__name__)


class LoopWatch:
    """While entered, looks every `max_stall_s` whether the loop has turned since."""

    def __init__(self, loop: AbstractEventLoop, max_stall_s: float) -> None:
        self._loop = loop
        self._max_stall_s = max_stall_s
        self._thread_id = threading.get_ident()  # which runs the loop
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop-watch", daemon=True)
        self.num_stalls = 0

    def __enter__(self) -> "LoopWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._max_stall_s):
            turned = threading.Event()
            started = time.monotonic()
            self._loop.call_soon_threadsafe(turned.set)
            if not turned.wait(self._max_stall_s):
                self._report_stall()
                while not (turned.wait(0.1) or self._end.is_set()):
                    pass
                self._report_end(time.monotonic() - started)

    def _report_stall(self) -> None:
        self.num_stalls += 1
        # Places in the code alone, never values: these could be what a user wrote.
        stack = "".join(traceback.format_stack(sys._current_frames().get(self._thread_id)))
        extra = {"action": "loop_stalled", "num_stalls": self.num_stalls}
        log.error("the event loop stands still\n%s", stack, extra=extra)

    def _report_end(self, seconds: float) -> None:
        extra = {"action": "loop_goes_on", "seconds": round(seconds, 1)}
        log.warning("the event loop goes on", extra=extra)
