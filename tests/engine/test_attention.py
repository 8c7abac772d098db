"""Both ways of attending against the definition of causal attention, segment by segment."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from varlen import attention_by, check_attention, varlen_attn

from guard_service.engine.attention import See, SegmentAttention, by_products, fused
from guard_service.engine.packing import Segment, Spans, Tiles, pack

CPU = torch.device("cpu")
HEADS = (8, 2, 16)
PAST = torch.empty(1, 2, 9, *HEADS[1:])
SEGMENTS = [
    Segment([0] * 5),
    Segment([0] * 5),
    Segment([0], pasts=(PAST,)),
    Segment([0] * 7, pasts=(PAST, PAST)),
    Segment([0] * 40),
    Segment([0] * 50, pasts=(PAST,)),
]


def spans_of(tiles: Tiles) -> Spans:
    return pack(SEGMENTS, CPU, tiles).spans


@pytest.mark.parametrize("see", [fused, by_products])
@pytest.mark.parametrize("block", [256, 3])
@pytest.mark.parametrize("multiple", [1, 16])
def test_segments_attend_causally_to_their_own_keys(see: See, multiple: int, block: int) -> None:
    spans = spans_of(Tiles(keys=multiple))
    check_attention(SegmentAttention(see, block), spans, HEADS, torch.empty(0), tolerance=1e-4)


@pytest.mark.parametrize("see", [fused, by_products])
def test_large_scores_of_bfloat16_are_not_rounded(see: See) -> None:
    """Rounded, they would put the result off by 0.009."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, tokens, 64, generator=generator, dtype=torch.float64).mul(size)
        for heads, tokens, size in ((8, 40, 3), (2, 96, 3), (2, 96, 1))
    )
    query, key, value = (part.to(torch.bfloat16) for part in (query, key + 2, value))
    mask = torch.zeros(40, 96, dtype=torch.bfloat16)
    exact = F.scaled_dot_product_attention(
        query.double(), key.double(), value.double(), mask.double(), enable_gqa=True
    )
    error = (see(query, key, value, mask).double() - exact).square().mean().sqrt()
    assert error < 0.004


@pytest.mark.parametrize("wants_switch", [False, True])
def test_flash_attention_is_asked_for_the_same(wants_switch: bool) -> None:
    """By either signature: later versions of torch want to be told of fewer key heads."""

    def switched(*tensors: object, window_size: tuple[int, int], enable_gqa: bool) -> Tensor:
        assert enable_gqa
        return varlen_attn(*tensors, window_size=window_size)  # type: ignore[arg-type]

    attend = attention_by(switched if wants_switch else varlen_attn)
    spans = spans_of(Tiles(tokens=128))
    check_attention(attend, spans, HEADS, torch.empty(0), tolerance=1e-4)
