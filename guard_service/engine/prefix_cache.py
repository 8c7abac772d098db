"""Keys and values of prompt prefixes, computed once per policy and judged side.

Only these are ever shared between callers: they hold no caller's text, so a hit tells nobody
anything about another's conversation.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

from guard_service.prompt import Prefix


class PrefixCache:
    """Bounded; the prefix that was not used for the longest time is evicted."""

    def __init__(self, compute: Callable[[Prefix], Tensor], max_prefixes: int = 64) -> None:
        self._compute = compute
        self._max_prefixes = max_prefixes
        self._slots: OrderedDict[Prefix, Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, prefix: Prefix) -> Tensor:
        """Keys and values [layers, 2, tokens, num_kv_heads, head_dim]; for reading alone."""
        if prefix not in self._slots:
            self._slots[prefix] = self._compute(prefix)
            if len(self._slots) > self._max_prefixes:
                self._slots.popitem(last=False)
        self._slots.move_to_end(prefix)
        return self._slots[prefix]
