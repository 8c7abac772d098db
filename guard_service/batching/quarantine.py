"""Which prompts were in a pass when its engine died, and which must not be read again.

What was in the pass that an engine died over is read alone the next time; what it then dies over
is the culprit, and refused. Keeps keyed hashes: no text and no ids.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

_KEPT_S = 3600.0  # a mended engine may read what killed an earlier one
_MAX_KEPT = 4096
_MAX_DEATHS = 2  # the first may have been another's


class Quarantine:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: OrderedDict[bytes, tuple[int, float]] = OrderedDict()  # and until when

    def is_suspect(self, digest: bytes) -> bool:
        """Whether it was there when an engine died: it must be read alone."""
        return self._num_deaths(digest) > 0

    def is_culprit(self, digest: bytes) -> bool:
        return self._num_deaths(digest) >= _MAX_DEATHS

    def saw_death(self, digests: Iterable[bytes]) -> None:
        """An engine died over a pass of these."""
        for digest in digests:
            num_deaths = self._num_deaths(digest) + 1
            self._deaths[digest] = num_deaths, self._clock() + _KEPT_S
            self._deaths.move_to_end(digest)
            if num_deaths == _MAX_DEATHS:
                extra = {"action": "prompt_quarantined"}
                log.error("engines died over a prompt, which is refused from now on", extra=extra)
        while len(self._deaths) > _MAX_KEPT:
            self._deaths.popitem(last=False)

    def saw_read(self, digest: bytes) -> None:
        """It was read, so it was not what killed."""
        self._deaths.pop(digest, None)

    def _num_deaths(self, digest: bytes) -> int:
        num_deaths, until_s = self._deaths.get(digest, (0, 0.0))
        return num_deaths if self._clock() < until_s else 0
