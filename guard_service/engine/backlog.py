"""What one engine has under way, and when it can take more."""

import asyncio
import math

from guard_service.engine.estimate import Estimate
from guard_service.engine.message import Batch, BatchRead, Engine
from guard_service.engine.watchdog import DEFAULT_PATIENCE, Patience, read_watched
from guard_service.errors import EngineUnavailable

# A GPU should find its next pass prepared when it ends one, so the second is handed over this long
# before the predicted end: who arrives meanwhile waits for that pass and this moment, not for two.
# A CPU gains nothing from it and takes one at a time.
_LEAD_S = 0.003


class Backlog:
    def __init__(self, engine: Engine, number: int, patience: Patience = DEFAULT_PATIENCE) -> None:
        self.number = number
        self.is_broken = False
        self._engine = engine
        self._patience = patience
        self._clock = asyncio.get_running_loop().time
        self._estimate = Estimate(self._clock)
        self._under_way: list[int] = []  # tokens of each pass
        self._head_since_s = 0.0
        self.predict_s = self._estimate.predict_s

    @property
    def is_idle(self) -> bool:
        return not self._under_way

    @property
    def ready_s(self) -> float:
        """When it can take a pass, as far as can be said without its next answer."""
        if self.is_idle:
            return 0.0
        if self._is_cuda and len(self._under_way) == 1 and self._estimate.is_known:
            return self.end_s - _LEAD_S
        return math.inf

    @property
    def next_s(self) -> float:
        """When its next pass will be formed, as far as can be said."""
        return max(self.end_s - _LEAD_S, self._clock()) if self._is_cuda else self.end_s

    @property
    def end_s(self) -> float:
        """When it will have done what is under way."""
        if self.is_idle:
            return self._clock()
        end_s = self._head_since_s + sum(map(self._estimate.expect_s, self._under_way))
        return max(end_s, self._clock())

    @property
    def _is_cuda(self) -> bool:
        return self._engine.loaded.device.startswith("cuda")

    @property
    def _limit_s(self) -> float:
        """For all that is under way: from then on the engine hangs."""
        return self._patience.pass_limit_s(sum(map(self._estimate.last_s, self._under_way)))

    def begin(self, num_tokens: int) -> None:
        """Count a pass in, which is then to be read."""
        if self.is_idle:
            self._head_since_s = self._clock()
        self._under_way.append(num_tokens)

    async def read(self, batch: Batch) -> BatchRead:
        """Read a pass that has begun; an engine that fails once is not asked again."""
        try:
            read = await read_watched(self._engine, batch, self._limit_s)
        except EngineUnavailable:
            self.is_broken = True
            raise
        finally:
            num_tokens = self._under_way.pop(0)
            self._head_since_s = self._clock()
        self._estimate.add(num_tokens, read.inference_ms / 1000)
        return read
