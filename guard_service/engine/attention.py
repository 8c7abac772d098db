"""Attention of packed segments: each sees its own keys, causally, and nobody else's."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from guard_service.engine.packing import Spans

# Queries [q, heads, head_dim], keys and values [k, kv_heads, head_dim] to [q, heads, head_dim].
Attention = Callable[[Tensor, Tensor, Tensor, Spans], Tensor]
# Query [segments, heads, queries, head_dim], key and value with fewer heads and other tokens, mask
# [queries, keys], to the query's shape.
See = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

# A CPU's attention takes twice as long where the number of keys is no multiple of this.
KEY_MULTIPLE = 16


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """In one kernel of torch's."""
    is_grouped = query.shape[1] != key.shape[1]
    return F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=is_grouped)


def by_products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """As two products and a softmax. Scores are float32: rounding takes a share of their size.

    For bfloat16 where the fused kernel has no tiles of AMX: there it multiplies no faster than
    float32 does.
    """
    num, num_heads, num_queries, head_dim = query.shape
    num_groups, grouped = num * key.shape[1], num_heads // key.shape[1] * num_queries
    query = (query.float() * head_dim**-0.5).reshape(num_groups, grouped, head_dim)
    scores = query @ key.float().flatten(0, 1).mT
    scores.view(num, num_heads, num_queries, -1).add_(mask)
    weights = scores.softmax(-1).to(value.dtype)
    return (weights @ value.flatten(0, 1)).view(num, num_heads, num_queries, head_dim)


class SegmentAttention:
    """Some segments of equal lengths at once, so nothing is padded; a block of queries at once.

    With a mask every query faces every key, seen or not, and what is between products belongs
    into a cache: a block is as large as costs less than calls do.
    """

    def __init__(self, see: See, block: int) -> None:
        self.see = see
        self._block = block
        self._mask = torch.empty(0, 0)
        self._offset = 0

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, spans: Spans) -> Tensor:
        attended = torch.empty_like(queries)  # a row that belongs to no segment is never read
        at_query = at_key = 0
        for num, num_queries, num_keys in self._runs(spans):
            end_query = at_query + num * num_queries
            end_key = at_key + num * spans.width(num_keys)
            if num_queries:
                attended[at_query:end_query] = self._attend(
                    queries[at_query:end_query].view(num, num_queries, *queries.shape[1:]),
                    keys[at_key:end_key].view(num, -1, *keys.shape[1:]),
                    values[at_key:end_key].view(num, -1, *values.shape[1:]),
                    num_past=num_keys - num_queries,
                )
            at_query, at_key = end_query, end_key
        return attended

    def _runs(self, spans: Spans) -> Iterator[tuple[int, int, int]]:
        """So many segments at once of so many queries and keys."""
        for (num_queries, num_keys), run in groupby(
            zip(spans.num_queries, spans.num_keys, strict=True)
        ):
            num, most = sum(1 for _ in run), max(self._block // max(num_queries, 1), 1)
            for first in range(0, num, most):
                yield min(num - first, most), num_queries, num_keys

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, num_past: int) -> Tensor:
        """Of segments of equal lengths: [segments, tokens, heads, head_dim] each."""
        query, key, value = (part.transpose(1, 2) for part in (queries, keys, values))
        blocks = range(0, query.shape[2], self._block)
        attended = [self._see_block(query, key, value, num_past, start) for start in blocks]
        return torch.cat(attended, dim=2).transpose(1, 2).flatten(0, 1)

    def _see_block(
        self, query: Tensor, key: Tensor, value: Tensor, num_past: int, start: int
    ) -> Tensor:
        """A block of queries, and the keys up to its last one."""
        query = query[:, :, start : start + self._block]
        num_past += start
        num_keys = num_past + query.shape[2]
        num_keys = min(num_keys + -num_keys % KEY_MULTIPLE, key.shape[2])
        mask = self._causal(query.shape[2], num_keys, num_past, query)
        return self.see(query, key[:, :, :num_keys], value[:, :, :num_keys], mask)

    def _causal(self, num_queries: int, num_keys: int, num_past: int, like: Tensor) -> Tensor:
        """A window of one large mask, where row i sees up to column i + past."""
        reach = num_keys - num_past  # the queries, and what fills the keys up
        if reach > self._mask.shape[0] or num_past > self._offset:
            rows = max(reach, self._mask.shape[0], 256)
            self._offset = max(num_past, self._offset, 256)
            steps = torch.arange(rows + self._offset, device=like.device)
            is_ahead = steps > torch.arange(rows, device=like.device)[:, None] + self._offset
            self._mask = torch.zeros_like(is_ahead, dtype=like.dtype)
            self._mask.masked_fill_(is_ahead, -torch.inf)
        start = self._offset - num_past
        return self._mask[:num_queries, start : start + num_keys]


def varlen_attention() -> Attention:
    """Flash attention of all segments in one call."""
    from torch.nn.attention.varlen import varlen_attn

    # torch 2.11 takes fewer key heads as they are; later ones want to be told.
    has_switch = "enable_gqa" in inspect.signature(varlen_attn).parameters
    return partial(_attend_varlen, varlen_attn, {"enable_gqa": True} if has_switch else {})


def _attend_varlen(
    varlen_attn: Callable[..., Any],
    switches: dict[str, bool],
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    spans: Spans,
) -> Tensor:
    attended: Tensor = varlen_attn(
        queries,
        keys,
        values,
        spans.query_starts,
        spans.key_starts,
        max(spans.num_queries),
        max(spans.num_keys),
        window_size=(-1, 0),  # causal, and aligned to the last key
        **switches,
    )
    return attended
