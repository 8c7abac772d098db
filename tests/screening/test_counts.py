"""Names are forgotten only past the bound, and what that may cost is told."""

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from guard_service.screening import counts
from guard_service.screening.counts import Groups, Marks


def add(groups: Groups, names: list[str | None], unsafe: list[bool]) -> None:
    flags = np.array(unsafe, np.bool_)
    groups.add(pa.array(names, pa.string()), Marks(flags, flags, flags))


def test_rows_without_a_name_are_in_no_group() -> None:
    groups = Groups()
    add(groups, ["a", None, "", "a"], [True, True, True, False])
    found = groups.in_order()
    assert {name: (each.num_rows, each.num_unsafe) for name, each in found.items()} == {"a": (2, 1)}


def test_a_count_lacks_no_more_than_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "MAX_NAMES", 50)
    groups, draw, truth = Groups(), random.Random(3), Counter[str]()
    for _ in range(40):
        names = [f"u{int(draw.paretovariate(0.7))}" for _ in range(100)]
        add(groups, list(names), [True] * 100)
        truth.update(names)
    found = groups.first(10)
    assert found.num_forgotten and found.num_names <= 50
    for name, each in found.first.items():
        assert truth[name] - found.max_lacking <= each.num_unsafe <= truth[name]
    unnamed = max(count for name, count in truth.items() if name not in groups.in_order())
    assert unnamed <= found.max_lacking
    assert next(iter(found.first)) == truth.most_common(1)[0][0]
