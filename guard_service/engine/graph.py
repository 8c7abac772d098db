"""Short passes as CUDA graphs: the device does what was recorded and waits for no launch.

A graph works in the memory that it was recorded with, on the shapes of then. So each has a packing
with room for any pass that it is for; what a pass leaves free belongs to no segment.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from guard_service.engine.packing import Packing, Spans, place_pasts

# Fills slots, returns rows; of tensors that stay where they are, so that it can be repeated.
Run = Callable[[Packing, Tensor], Tensor]
Record = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]


@dataclass(frozen=True, slots=True)
class Room:
    """What a pass may have at most. The tokens are exact: passes are filled up to whole tiles."""

    tokens: int
    segments: int
    keys: int
    past: int
    rows: int
    rows_each: int = 4  # of one segment

    @classmethod
    def of(cls, tokens: int) -> "Room":
        """For some whole prompts of a usual length behind prefixes, and lists that ride."""
        segments = tokens // 16
        return cls(tokens, segments, keys=8 * tokens, past=1024, rows=4 * segments)

    def holds(self, packing: Packing) -> bool:
        return (
            len(packing.ids) == self.tokens
            and len(packing.spans.num_queries) <= self.segments
            and len(packing.sources) <= self.keys
            and packing.num_past <= self.past
            and len(packing.rows) <= self.rows
            and max(packing.read_spans.num_queries) <= self.rows_each
        )


# Above, the products take longer than the host to launch them.
ROOMS = tuple(Room.of(tokens) for tokens in (512, 384, 256, 128))  # the largest first


class Graph:
    """One recorded pass. What it returns is the caller's, and outlasts the next one."""

    def __init__(self, room: Room, run: Run, slots: Tensor, record: Record) -> None:
        self._room = room
        self._packing = _blank(room, slots.device)
        self._slots = slots[:, :, : room.tokens + room.past]
        self._replay = record(partial(run, self._packing, self._slots))

    def holds(self, packing: Packing) -> bool:
        return self._room.holds(packing)

    def run(self, packing: Packing) -> tuple[Tensor, Tensor]:
        """The rows read, and the slots of the pass's own tokens."""
        _fill(self._packing, packing)
        place_pasts(packing, self._slots)
        rows = self._replay()[: len(packing.rows)].clone()
        return rows, self._slots[:, :, : self._room.tokens].clone()


@torch.inference_mode()
def record_graphs(
    run: Run, make_slots: Callable[[int], Tensor], record: Record, rooms: Sequence[Room] = ROOMS
) -> tuple[Graph, ...]:
    """A graph for each room; none where the device cannot record."""
    slots = make_slots(max(room.tokens + room.past for room in rooms))
    try:
        return tuple(Graph(room, run, slots, record) for room in rooms)
    except RuntimeError:
        traceback.print_exc()
        return ()


def cuda_record() -> Record:
    """Graphs that share what memory they need in between: they never run at once."""
    return partial(_record, torch.cuda.graph_pool_handle())


def _record(pool: Any, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    _warm_up(run)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        rows = run()

    def replay() -> Tensor:
        graph.replay()
        return rows

    return replay


def _warm_up(run: Callable[[], Tensor]) -> None:
    """What is compiled or set up at first must not be recorded; on a side stream, as torch asks."""
    current, side = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(current)
    with torch.cuda.stream(side):
        run()
    current.wait_stream(side)


def _blank(room: Room, device: torch.device) -> Packing:
    zeros = partial(torch.zeros, dtype=torch.long, device=device)
    return Packing(
        pasts=(),
        ids=zeros(room.tokens),
        positions=zeros(room.tokens),
        sources=zeros(room.keys),
        rows=zeros(room.rows),
        spans=_blank_spans(room, room.tokens, device),
        read_spans=_blank_spans(room, room.rows_each, device),
    )


def _blank_spans(room: Room, longest: int, device: torch.device) -> Spans:
    """Of kernels' arguments the longest lengths are recorded, all else is read from the starts."""
    starts = (torch.zeros(room.segments + 1, dtype=torch.int32, device=device) for _ in range(2))
    return Spans((longest,), (room.keys,), 1, *starts)


def _fill(room: Packing, packing: Packing) -> None:
    for name in ("ids", "positions", "sources", "rows"):
        given: Tensor = getattr(packing, name)
        getattr(room, name)[: len(given)].copy_(given)
    for spans, given_spans in (
        (room.spans, packing.spans),
        (room.read_spans, packing.read_spans),
    ):
        _fill_starts(spans.query_starts, given_spans.query_starts)
        _fill_starts(spans.key_starts, given_spans.key_starts)


def _fill_starts(starts: Tensor, given: Tensor) -> None:
    """The segments that are left start, and end, where the last one ends."""
    starts[: len(given)].copy_(given)
    starts[len(given) :].copy_(given[-1].expand(len(starts) - len(given)))
