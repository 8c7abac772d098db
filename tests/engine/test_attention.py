"""Both ways of attending against the definition of causal attention, segment by segment."""

import pytest
import torch
from torch import Tensor
from varlen import attend_one, attention_by, varlen_attn

from guard_service.engine.attention import Attention, SegmentAttention
from guard_service.engine.packing import Segment, Spans, Tiles, pack

CPU = torch.device("cpu")
NUM_HEADS, NUM_KV_HEADS, HEAD_DIM = 8, 2, 16
PAST = torch.empty(1, 2, 9, NUM_KV_HEADS, HEAD_DIM)
SEGMENTS = [
    Segment([0] * 5),
    Segment([0] * 5),
    Segment([0], pasts=(PAST,)),
    Segment([0] * 7, pasts=(PAST, PAST)),
    Segment([0] * 40),
]


def spans_of(tiles: Tiles) -> Spans:
    return pack(SEGMENTS, CPU, tiles).spans


def draw(num: int, num_heads: int) -> Tensor:
    return torch.randn(num, num_heads, HEAD_DIM)


def check(attend: Attention, spans: Spans) -> None:
    """Every segment against its own queries and keys alone."""
    torch.manual_seed(0)
    widths = [spans.width(num) for num in spans.num_keys]
    queries = draw(sum(spans.num_queries), NUM_HEADS)
    keys, values = (draw(sum(widths), NUM_KV_HEADS) for _ in range(2))
    attended = attend(queries, keys, values, spans)
    at_query = at_key = 0
    for num_queries, num_keys, width in zip(spans.num_queries, spans.num_keys, widths, strict=True):
        seen = slice(at_key, at_key + num_keys)
        own = slice(at_query, at_query + num_queries)
        expected = attend_one(queries[own], keys[seen], values[seen])
        torch.testing.assert_close(attended[own], expected, rtol=1e-4, atol=1e-5)
        at_query, at_key = at_query + num_queries, at_key + width


@pytest.mark.parametrize("multiple", [1, 16])
def test_segments_attend_causally_to_their_own_keys(multiple: int) -> None:
    check(SegmentAttention(), spans_of(Tiles(keys=multiple)))


@pytest.mark.parametrize("wants_switch", [False, True])
def test_flash_attention_is_asked_for_the_same(wants_switch: bool) -> None:
    """By either signature: later versions of torch want to be told of fewer key heads."""

    def switched(*tensors: object, window_size: tuple[int, int], enable_gqa: bool) -> Tensor:
        assert enable_gqa
        return varlen_attn(*tensors, window_size=window_size)  # type: ignore[arg-type]

    attend = attention_by(switched if wants_switch else varlen_attn)
    check(attend, spans_of(Tiles(tokens=128)))
