"""Who goes through the model together: forms each pass out of two lanes. Knows no clock, no engine.

Interactive before bulk, callers of a lane by fair share, long prompts in pieces.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from guard_service.batching.entry import Entry, Lane
from guard_service.batching.fair_queue import FairQueue
from guard_service.engine.message import Batch, Piece

# Of the tokens that go through while bulk work waits: enough to never stand still, too few to be
# felt by those who wait.
_BULK_SHARE = 1 / 64
# So long after a caller's last call its next is taken to be near, or for so many full passes where
# those take longer: the caller counts, and after an interactive call bulk passes stay short.
_NEAR_S = 1.0
_NEAR_PASSES = 40
# Prompts of a lane that one engine may hold in part: their keys and values take its memory.
_MAX_CUT = 4

PredictSeconds = Callable[[int], float]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    max_batch_tokens: int = 1024
    max_bulk_batch_tokens: int = 2048  # where no interactive call waits or is expected
    max_batch_requests: int = 64
    max_wait_ms: float = 2.0  # how long an idle engine waits for company
    min_piece_tokens: int = 128
    max_queue_passes: int = 1  # of interactive work that waits for long, before more is refused


@dataclass(slots=True)
class Pass:
    """What one engine will do next: pieces, and their entries in the same order."""

    engine: int
    start_s: float
    predict_s: PredictSeconds
    end_s: float = 0.0
    pieces: list[Piece] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    late: list[Entry] = field(default_factory=list)  # would end after their deadline: not in it
    forgotten: tuple[int, ...] = ()
    num_tokens: int = 0

    def expect(self, num_tokens: int) -> None:
        """Set when it will have ended if it takes so many, which is not known before it is full."""
        self.end_s = self.start_s + self.predict_s(num_tokens)

    def num_tokens_of(self, lane: Lane) -> int:
        pairs = zip(self.pieces, self.entries, strict=True)
        return sum(len(piece.ids) for piece, entry in pairs if entry.caller.lane is lane)

    @property
    def batch(self) -> Batch:
        return Batch(tuple(self.pieces), self.forgotten, self.is_alone)

    @property
    def ending(self) -> list[int]:
        """Keys of the prompts that it ends, and that are then read."""
        return [piece.key for piece in self.pieces if piece.is_last]

    @property
    def is_alone(self) -> bool:
        return any(entry.goes_alone for entry in self.entries)


class Scheduler:
    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self.lanes = {lane: FairQueue() for lane in Lane}
        # By engine: prompts that it holds in part, and keys that it may forget.
        self._cut: defaultdict[int | None, set[Entry]] = defaultdict(set)
        self._forgotten: defaultdict[int | None, list[int]] = defaultdict(list)
        # Each goes through in passes of its own, in turn with all others.
        self._loners: list[Entry] = []
        self._was_alone = False
        self._bulk_credit = 0.0
        self._interactive_s = -float("inf")

    @property
    def num_waiting(self) -> int:
        return self._num_in_lanes + len(self._loners)

    @property
    def _num_in_lanes(self) -> int:
        return sum(lane.num_entries for lane in self.lanes.values())

    @property
    def is_full(self) -> bool:
        """Whether company could no longer make the next pass larger."""
        num_tokens = sum(lane.num_tokens for lane in self.lanes.values())
        has_tokens = num_tokens >= self._limits.max_batch_tokens
        return has_tokens or self.num_waiting >= self._limits.max_batch_requests

    def push(self, entry: Entry) -> None:
        if entry.caller.lane is Lane.INTERACTIVE:
            self._interactive_s = max(self._interactive_s, entry.since_s)
        if entry.goes_alone:
            self._loners.append(entry)
        else:
            self.lanes[entry.caller.lane].push(entry)

    def next_pass(self, engine: int, start_s: float, predict_s: PredictSeconds) -> Pass:
        """Take what the engine is to do from `start_s` on."""
        if self._loners and not (self._was_alone and self._num_in_lanes):
            formed = self._pass_of_one(engine, start_s, predict_s)
            if formed.pieces or formed.late:
                return formed
        self._was_alone = False
        interactive, bulk = self.lanes[Lane.INTERACTIVE], self.lanes[Lane.BULK]
        room, credit = self._limits.max_batch_tokens, self._credit_room() if bulk.num_entries else 0
        formed = Pass(engine, start_s, predict_s)
        formed.expect(min(room, interactive.num_tokens + credit))
        self._bulk_credit -= self._fill(formed, bulk, credit)
        num_taken = self._fill(formed, interactive, room - formed.num_tokens)
        if not formed.pieces:
            room = self._bulk_room(formed)
            formed.expect(min(room, bulk.num_tokens))
            self._fill(formed, bulk, room)
        earned = self._bulk_credit + num_taken * _BULK_SHARE
        self._bulk_credit = earned if bulk.num_entries else 0.0
        return self._finished(formed)

    def _finished(self, formed: Pass) -> Pass:
        if formed.pieces:
            formed.forgotten = tuple(self._forgotten.pop(formed.engine, ()))
        return formed

    def _pass_of_one(self, engine: int, start_s: float, predict_s: PredictSeconds) -> Pass:
        """The first that this engine can take of those that go alone."""
        formed, room = Pass(engine, start_s, predict_s), self._limits.max_batch_tokens
        for entry in list(self._loners):
            formed.expect(min(room, entry.num_left))
            if self._is_dropped(formed, entry):
                self._loners.remove(entry)
            elif num_tokens := self._num_to_take(engine, entry, room):
                self._take(formed, entry, num_tokens)
                if not entry.num_left:
                    self._loners.remove(entry)
                break
        self._was_alone = bool(formed.pieces)
        return self._finished(formed)

    def lose(self, engine: int) -> set[Entry]:
        """An engine is gone, and with it the beginnings of these prompts."""
        self._forgotten.pop(engine, None)
        return self._cut.pop(engine, set())

    def clear(self) -> list[Entry]:
        """Everything that waits; nothing does any more."""
        alone, self._loners = self._loners, []
        return alone + [entry for lane in self.lanes.values() for entry in lane.clear()]

    def _near_s(self, formed: Pass) -> float:
        return max(_NEAR_S, _NEAR_PASSES * formed.predict_s(self._limits.max_batch_tokens))

    def _bulk_room(self, formed: Pass) -> int:
        if formed.start_s - self._interactive_s > self._near_s(formed):
            return self._limits.max_bulk_batch_tokens
        return self._short_room

    @property
    def _short_room(self) -> int:
        """Of a pass for which more urgent work may have to wait."""
        return max(self._limits.max_batch_tokens // 4, 2 * self._limits.min_piece_tokens)

    def _credit_room(self) -> int:
        if self._bulk_credit < self._limits.min_piece_tokens:
            return 0
        return min(int(self._bulk_credit), self._limits.max_batch_tokens)

    def _fill(self, formed: Pass, lane: FairQueue, room: int) -> int:
        """Move entries of the lane into the pass until it is full; the number of tokens taken."""
        start, end = formed.num_tokens, formed.num_tokens + room
        most_ahead = self._short_room if lane is self.lanes[Lane.INTERACTIVE] else room
        put_back: list[Entry] = []
        near_s = self._near_s(formed)
        for entry in lane.in_order(formed.start_s, most_ahead, near_s) if room else ():
            if self._is_dropped(formed, entry):
                continue
            num_tokens = self._num_to_take(formed.engine, entry, end - formed.num_tokens)
            if num_tokens:
                lane.charge(entry.caller, num_tokens)
                self._take(formed, entry, num_tokens)
            if entry.num_left:
                put_back.append(entry)
            is_full = end - formed.num_tokens < self._limits.min_piece_tokens
            if is_full or len(formed.pieces) == self._limits.max_batch_requests:
                break
        for entry in put_back:
            lane.push(entry)
        return formed.num_tokens - start

    def _is_dropped(self, formed: Pass, entry: Entry) -> bool:
        """Leave out who has left and who is too late; the engine is told of what it holds."""
        rest = max(entry.num_left - self._limits.max_batch_tokens, 0)
        end_s = formed.end_s + (formed.predict_s(rest) if rest else 0.0)
        if entry.is_wanted and end_s <= entry.deadline_s:
            return False
        if entry in self._cut.get(entry.engine, ()):
            self._cut[entry.engine].remove(entry)
            self._forgotten[entry.engine].append(entry.key)
        if entry.is_wanted:
            formed.late.append(entry)
        return True

    def _num_to_take(self, engine: int, entry: Entry, room: int) -> int:
        """All that is left of the entry; else as much as fits if both parts are worth a pass."""
        if entry.num_sent and entry.engine != engine:
            return 0
        if entry.num_left <= room:
            return entry.num_left
        cut = self._cut[engine]
        if entry not in cut and sum(e.caller.lane is entry.caller.lane for e in cut) >= _MAX_CUT:
            return 0
        num_tokens = min(room, entry.num_left - self._limits.min_piece_tokens)
        return num_tokens if num_tokens >= self._limits.min_piece_tokens else 0

    def _take(self, formed: Pass, entry: Entry, num_tokens: int) -> None:
        prompt, start = entry.prompt, entry.num_sent
        is_last = num_tokens == entry.num_left
        ids = prompt.ids[start : start + num_tokens]
        formed.pieces.append(Piece(entry.key, prompt.prefix, ids, is_last, prompt.list_above))
        formed.entries.append(entry)
        formed.num_tokens += num_tokens
        if not start:
            entry.started_s = formed.start_s
        entry.num_sent, entry.engine = start + num_tokens, formed.engine
        (self._cut[formed.engine].discard if is_last else self._cut[formed.engine].add)(entry)
