"""Keys and values of prompt prefixes, computed once per policy and judged side.

Only these are ever shared between callers: they hold no caller's text, so a hit tells nobody
anything about another's conversation.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor
from transformers import DynamicCache

from guard_service.prompt import Prefix

# One layer's keys and values, each [1, num_kv_heads, prefix tokens, head_dim].
LayerKV = tuple[Tensor, Tensor]


class PrefixCache:
    """Bounded; the prefix that was not used for the longest time is evicted."""

    def __init__(self, compute: Callable[[Prefix], list[LayerKV]], max_prefixes: int = 64) -> None:
        self._compute = compute
        self._max_prefixes = max_prefixes
        self._layers: OrderedDict[Prefix, list[LayerKV]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._layers)

    def expand(self, prefix: Prefix, num_prompts: int) -> DynamicCache:
        """A fresh cache that holds the prefix for each of `num_prompts` rows; theirs to extend."""
        cache = DynamicCache()
        for number, (keys, values) in enumerate(self._get(prefix)):
            shape = (num_prompts, -1, -1, -1)
            cache.update(keys.expand(shape), values.expand(shape), number)
        return cache

    def _get(self, prefix: Prefix) -> list[LayerKV]:
        if prefix not in self._layers:
            self._layers[prefix] = self._compute(prefix)
            if len(self._layers) > self._max_prefixes:
                self._layers.popitem(last=False)
        self._layers.move_to_end(prefix)
        return self._layers[prefix]
