"""The dashboard and the alert rules ask for metrics and labels that the service has."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import generate_latest

import guard_service.app  # noqa: F401  which imports all that counts something from the start
from guard_service.sight.metrics import REGISTRY

DEPLOY = Path(__file__).parents[2] / "deploy"
TARGET_LABELS = {"instance", "job"}  # given by Prometheus itself
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def offered() -> dict[str, set[str]]:
    """Every sample's name, and the labels it has."""
    offered: dict[str, set[str]] = {}
    for collector in list(REGISTRY._collector_to_names):
        for family in collector.collect():
            labels = set(getattr(collector, "_labelnames", ()))
            for suffix in _SUFFIXES.get(family.type, ("",)):
                more = {"le"} if suffix == "_bucket" else set()
                offered[family.name + suffix] = labels | more
    return offered


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((DEPLOY / "grafana" / "guard-service.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def alert_expressions() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def selectors(expression: str) -> list[Any]:
    """The vector selectors of an expression that Prometheus's own grammar takes."""
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def groupings(expression: str) -> set[str]:
    """Labels that aggregations keep."""
    found: set[str] = set()

    def visit(node: Any) -> bool:
        modifier = getattr(node, "modifier", None)
        if isinstance(node, promql_parser.AggregateExpr) and modifier:
            found.update(modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


EXPRESSIONS = [*dashboard_expressions(), *alert_expressions()]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS, ids=[t for t, _ in EXPRESSIONS])
def test_every_expression_asks_for_what_there_is(title: str, expression: str) -> None:
    known, named = offered(), selectors(expression)
    assert named
    labels = set(TARGET_LABELS)
    for selector in named:
        assert selector.name in known
        labels |= known[selector.name]
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= known[selector.name] | TARGET_LABELS
    assert groupings(expression) <= labels


def test_what_an_alert_waits_for_is_counted_from_the_start() -> None:
    text = generate_latest(REGISTRY).decode()
    for _, expression in alert_expressions():
        for selector in selectors(expression):
            exact = [m for m in selector.matchers.matchers if m.op is promql_parser.MatchOp.Equal]
            if selector.name != "guard_verdicts_total":  # which is compared with itself
                assert all(f'{m.name}="{m.value}"' in text for m in exact)


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {s.name for _, expression in dashboard_expressions() for s in selectors(expression)}
    ours = {f.name for f in REGISTRY.collect() if f.name.startswith("guard_")}
    assert [name for name in sorted(ours) if not any(s.startswith(name) for s in shown)] == []


def test_a_misspelt_metric_would_be_found() -> None:
    assert "guard_verdict_total" not in offered()
    with pytest.raises(Exception, match=r"parse|unexpected|invalid"):
        selectors("rate(guard_verdicts_total[5m")
