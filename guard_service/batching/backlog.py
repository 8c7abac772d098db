"""What one engine has under way, and when it can take more."""

import asyncio
import math

from guard_service.batching.entry import Entry
from guard_service.batching.estimate import Estimate
from guard_service.batching.scheduler import Pass
from guard_service.engine.message import Batch, BatchRead, Engine
from guard_service.errors import EngineUnavailable
from guard_service.supervision.watchdog import DEFAULT_PATIENCE, Patience, check_rows, read_watched

# An engine should find its next pass prepared when it ends one, and lists should have one to ride
# in, so the second is handed over this long before the predicted end: who arrives meanwhile waits
# for that pass and this moment, not for two. How long a CPU's pass takes is known less well.
_LEAD_S = 0.003
_CPU_LEAD = 0.1  # of the pass


class Backlog:
    def __init__(self, engine: Engine, number: int, patience: Patience = DEFAULT_PATIENCE) -> None:
        self.number = number
        self.is_broken = False
        self.is_blamed = False  # on the first pass that failed
        self._engine = engine
        self._patience = patience
        self._clock = asyncio.get_running_loop().time
        self._estimate = Estimate(self._clock)
        self.owed: dict[int, Entry] = {}  # whose last piece it has or had, by key
        self._under_way: list[Pass] = []
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
        if len(self._under_way) == 1 and self._estimate.is_known:
            return self.end_s - self._lead_s
        return math.inf

    @property
    def next_s(self) -> float:
        """When its next pass will be formed, as far as can be said."""
        return max(self.end_s - self._lead_s, self._clock())

    @property
    def _lead_s(self) -> float:
        if self._engine.loaded.device.startswith("cuda"):
            return _LEAD_S
        return _CPU_LEAD * sum(map(self._estimate.expect_s, self._num_tokens[:1]))

    @property
    def end_s(self) -> float:
        """When it will have done what is under way."""
        if self.is_idle:
            return self._clock()
        end_s = self._head_since_s + sum(map(self._estimate.expect_s, self._num_tokens))
        return max(end_s, self._clock())

    @property
    def _limit_s(self) -> float:
        """For all that is under way: from then on the engine hangs."""
        expected_s = sum(map(self._estimate.last_s, self._num_tokens))
        num_tokens = sum(self._num_tokens)
        return self._patience.pass_limit_s(expected_s, self._engine.loaded, num_tokens)

    @property
    def _num_tokens(self) -> list[int]:
        return [formed.num_tokens for formed in self._under_way]

    @property
    def _due(self) -> list[int]:
        """Keys that the pass at the head may answer: not those of passes behind it."""
        behind = {key for formed in self._under_way[1:] for key in formed.ending}
        return [key for key in self.owed if key not in behind]

    def begin(self, formed: Pass) -> None:
        """Count a pass in, which is then to be read."""
        if self.is_idle:
            self._head_since_s = self._clock()
        self._under_way.append(formed)
        for piece, entry in zip(formed.pieces, formed.entries, strict=True):
            if piece.is_last:
                entry.batch_size = len(formed.pieces)
                self.owed[entry.key] = entry

    def forget(self, formed: Pass) -> None:
        """Nobody waits for these any more."""
        for entry in formed.entries:
            self.owed.pop(entry.key, None)

    async def read(self, batch: Batch) -> BatchRead:
        """Read a pass that has begun; an engine that fails once is not asked again."""
        try:
            read = await read_watched(self._engine, batch, self._limit_s)
            check_rows(self._engine, read, self._due, len(self._under_way) > 1)
        except EngineUnavailable:
            self.is_broken = True
            raise
        finally:
            num_tokens = self._under_way.pop(0).num_tokens
            self._head_since_s = self._clock()
        self._estimate.add(num_tokens, read.inference_ms / 1000)
        return read
