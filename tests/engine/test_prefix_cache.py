import torch

from guard_service.engine.prefix_cache import PrefixCache
from guard_service.prompt import Prefix


class Model:
    """Its keys and values are the prefix's ids."""

    def __init__(self) -> None:
        self.computed: list[Prefix] = []

    def compute(self, prefix: Prefix) -> torch.Tensor:
        self.computed.append(prefix)
        return torch.tensor(prefix.ids)


def prefix(*ids: int) -> Prefix:
    return Prefix(ids, ("S1",))


def test_a_prefix_is_computed_once() -> None:
    model = Model()
    cache = PrefixCache(model.compute)
    assert [cache.get(prefix(7, 8)).tolist() for _ in range(2)] == [[7, 8]] * 2
    assert model.computed == [prefix(7, 8)]


def test_the_longest_unused_prefix_is_evicted() -> None:
    model = Model()
    cache = PrefixCache(model.compute, max_prefixes=2)
    for number in (1, 2, 1, 3, 1, 2):
        cache.get(prefix(number))
    assert [p.ids[0] for p in model.computed] == [1, 2, 3, 2]
    assert len(cache) == 2
