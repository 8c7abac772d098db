"""Many segments of tokens as one flat sequence: what a pass computes, and what each segment sees.

slots    | tokens of this pass | past of any segment |    keys and values, in every layer
keys     | past, own | past, own | ...                    gathered from them, by segment, each
                                                          filled up to a multiple that nobody sees
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that follow `pasts`; what the last `num_read` of them predict is wanted."""

    ids: Sequence[int]
    pasts: tuple[Tensor, ...] = ()  # each [layers, 2, tokens, num_kv_heads, head_dim]
    num_read: int = 0

    @property
    def num_past(self) -> int:
        return sum(past.shape[2] for past in self.pasts)


@dataclass(frozen=True, slots=True)
class Spans:
    """How flat queries face flat keys: the queries of a segment are the last of its keys."""

    num_queries: tuple[int, ...]
    num_keys: tuple[int, ...]
    key_multiple: int  # to which the keys of every segment are filled up
    query_starts: Tensor  # int32 [segments + 1]
    key_starts: Tensor  # for kernels that want none filled up

    def width(self, num_keys: int) -> int:
        """The keys of a segment with what fills them up."""
        return num_keys + -num_keys % self.key_multiple


@dataclass(frozen=True, slots=True)
class Tiles:
    """What a device's kernels would rather be given whole."""

    tokens: int = 1
    keys: int = 1


@dataclass(frozen=True, slots=True)
class Packing:
    pasts: tuple[Tensor, ...]  # each distinct one once
    ids: Tensor  # [tokens]
    positions: Tensor  # [tokens]
    sources: Tensor  # [keys]: the slot of every key
    rows: Tensor  # [rows read]
    spans: Spans
    read_spans: Spans

    @property
    def num_past(self) -> int:
        return sum(past.shape[2] for past in self.pasts)


def pack(segments: Sequence[Segment], device: torch.device, tiles: Tiles) -> Packing:
    """The tokens of all segments in order, then tokens that nobody sees up to a whole tile."""
    ids = [token for segment in segments for token in segment.ids]
    ids += [0] * (-len(ids) % tiles.tokens)
    pasts = {id(past): past for segment in segments for past in segment.pasts}
    ends = accumulate((past.shape[2] for past in pasts.values()), initial=len(ids))
    past_slots = dict(zip(pasts, ends, strict=False))
    positions, sources, rows = list[Tensor](), list[Tensor](), list[Tensor]()
    num_keys = [segment.num_past + len(segment.ids) for segment in segments]
    start = 0
    for number, segment in enumerate(segments):
        end = start + len(segment.ids)
        positions.append(_range(segment.num_past, len(segment.ids)))
        sources += [_range(past_slots[id(past)], past.shape[2]) for past in segment.pasts]
        sources.append(_range(start, end - start))
        sources.append(torch.zeros(-num_keys[number] % tiles.keys, dtype=torch.long))
        rows.append(_range(end - segment.num_read, segment.num_read))
        start = end
    positions.append(torch.zeros(len(ids) - start, dtype=torch.long))
    return Packing(
        pasts=tuple(pasts.values()),
        ids=to_device(torch.tensor(ids), device),
        positions=to_device(torch.cat(positions), device),
        sources=to_device(torch.cat(sources), device),
        rows=to_device(torch.cat(rows), device),
        spans=_spans([len(segment.ids) for segment in segments], num_keys, device, tiles.keys),
        read_spans=_spans([segment.num_read for segment in segments], num_keys, device, tiles.keys),
    )


def place_pasts(packing: Packing, slots: Tensor) -> None:
    """Copy what was computed before behind the slots of the pass's own tokens."""
    if packing.pasts:
        start = len(packing.ids)
        torch.cat(packing.pasts, dim=2, out=slots[:, :, start : start + packing.num_past])


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """A copy that does not hold up the host: the device's queue keeps it in order."""
    if device.type != "cuda":
        return values
    return values.pin_memory().to(device, non_blocking=True)


def _spans(
    num_queries: Sequence[int], num_keys: Sequence[int], device: torch.device, key_multiple: int
) -> Spans:
    starts = (
        to_device(torch.tensor([0, *accumulate(lengths)], dtype=torch.int32), device)
        for lengths in (num_queries, num_keys)
    )
    return Spans(tuple(num_queries), tuple(num_keys), key_multiple, *starts)


def _range(start: int, length: int) -> Tensor:
    return torch.arange(start, start + length)
