"""The names that others rely on, and how many series there can be."""

from pathlib import Path

import pytest

from guard_service.sight import metrics
from guard_service.sight.metrics import REGISTRY, policy_labels

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_every_metric_is_documented() -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    ours = [family for family in REGISTRY.collect() if family.name.startswith("guard_")]
    assert len(ours) > 20
    names = [f"{f.name}_total" if f.type == "counter" else f.name for f in ours]
    assert [name for name in names if f"`{name}" not in text] == []


def test_policies_are_counted_by_id_and_version_up_to_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "_policies", set())
    labels = {policy_labels("reloaded", str(version)) for version in range(1000)}
    assert ("reloaded", "0") in labels
    assert ("other", "other") in labels
    assert len(labels) <= 65
    assert policy_labels("reloaded", "0") == ("reloaded", "0")
