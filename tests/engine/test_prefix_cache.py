import torch

from guard_service.engine.prefix_cache import LayerKV, PrefixCache
from guard_service.prompt import Prefix


class Model:
    """Two layers whose keys and values are the prefix's ids."""

    def __init__(self) -> None:
        self.computed: list[Prefix] = []

    def compute(self, prefix: Prefix) -> list[LayerKV]:
        self.computed.append(prefix)
        values = torch.tensor(prefix.ids, dtype=torch.float32).reshape(1, 1, -1, 1)
        return [(values, values + 100), (values + 1, values + 101)]


def prefix(*ids: int) -> Prefix:
    return Prefix(ids, ("S1",))


def test_a_prefix_is_computed_once_and_given_to_every_row() -> None:
    model = Model()
    cache = PrefixCache(model.compute)
    for rows in (1, 3):
        expanded = cache.expand(prefix(7, 8), rows)
        assert expanded.get_seq_length() == 2
        assert expanded.layers[1].values.flatten(1).tolist() == [[108.0, 109.0]] * rows
    assert model.computed == [prefix(7, 8)]


def test_what_rows_add_does_not_reach_the_next_ones() -> None:
    cache = PrefixCache(Model().compute)
    first = cache.expand(prefix(7), 2)
    first.update(torch.ones(2, 1, 5, 1), torch.ones(2, 1, 5, 1), 0)
    first.layers[0].keys.fill_(9)
    assert cache.expand(prefix(7), 2).layers[0].keys.flatten().tolist() == [7.0, 7.0]


def test_the_longest_unused_prefix_is_evicted() -> None:
    model = Model()
    cache = PrefixCache(model.compute, max_prefixes=2)
    for number in (1, 2, 1, 3, 1, 2):
        cache.expand(prefix(number), 1)
    assert [p.ids[0] for p in model.computed] == [1, 2, 3, 2]
    assert len(cache) == 2
