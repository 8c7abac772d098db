"""Flash attention's varlen op as plain torch, in float64: what our adapter calls on a GPU."""

import sys
from collections.abc import Callable
from itertools import pairwise
from types import ModuleType
from unittest.mock import patch

import torch
from torch import Tensor

from guard_service.engine.attention import Attention, varlen_attention
from guard_service.engine.packing import Spans

MODULE = "torch.nn.attention.varlen"


def attention_by(op: Callable[..., Tensor]) -> Attention:
    """Our adapter, where torch's op is this one."""
    module = ModuleType(MODULE)
    module.varlen_attn = op  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {MODULE: module}):
        return varlen_attention()


def varlen_attn(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    query_starts: Tensor,
    key_starts: Tensor,
    longest_queries: int,
    longest_keys: int,
    *,
    window_size: tuple[int, int],
) -> Tensor:
    """Reads lengths from the starts alone, and leaves NaN where no segment is."""
    assert window_size == (-1, 0), "causal, aligned to the last key"
    bounds = list(zip(*(_bounds(starts) for starts in (query_starts, key_starts)), strict=True))
    assert max(end - start for (start, end), _ in bounds) <= longest_queries
    assert max(end - start for _, (start, end) in bounds) <= longest_keys
    attended = torch.full_like(queries, torch.nan)
    for (start, end), (first_key, end_key) in bounds:
        attended[start:end] = attend_one(
            queries[start:end], keys[first_key:end_key], values[first_key:end_key]
        )
    return attended


def attend_one(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Causal attention of [q, heads, head_dim] to [k, kv_heads, head_dim], by its definition."""
    repeats = queries.shape[1] // keys.shape[1]
    keys, values = (part.repeat_interleave(repeats, dim=1).double() for part in (keys, values))
    scores = torch.einsum("qhd,khd->hqk", queries.double(), keys) / queries.shape[2] ** 0.5
    num_past = len(keys) - len(queries)
    is_ahead = torch.ones(len(queries), len(keys), dtype=torch.bool).triu(num_past + 1)
    weights = scores.masked_fill(is_ahead, -torch.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, values).to(queries.dtype)


def _bounds(starts: Tensor) -> list[tuple[int, int]]:
    numbers = starts.tolist()
    return list(pairwise(numbers))


def check_attention(
    attend: Attention,
    spans: Spans,
    heads: tuple[int, int, int],
    like: Tensor,
    tolerance: float,
) -> None:
    """Every segment against its own queries and keys alone; `heads`: of queries, of keys, width."""
    torch.manual_seed(0)
    num_heads, num_kv_heads, head_dim = heads
    widths = [spans.width(num) for num in spans.num_keys]
    queries = torch.randn(sum(spans.num_queries), num_heads, head_dim).to(like)
    keys, values = (torch.randn(sum(widths), num_kv_heads, head_dim).to(like) for _ in range(2))
    attended = attend(queries, keys, values, spans).cpu()
    at_query = at_key = 0
    for num_queries, num_keys, width in zip(spans.num_queries, spans.num_keys, widths, strict=True):
        own, seen = slice(at_query, at_query + num_queries), slice(at_key, at_key + num_keys)
        expected = attend_one(queries[own].cpu(), keys[seen].cpu(), values[seen].cpu())
        torch.testing.assert_close(attended[own], expected, rtol=tolerance, atol=tolerance)
        at_query, at_key = at_query + num_queries, at_key + width
