"""Latency against load."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from guard_service.benchmark.report import Latency
from guard_service.chart import COLORS, Axis, Line, line_chart


def latency_plot(measured: Sequence[Latency]) -> str:
    """p50 (dashed) and p99 (solid) in ms over offered requests/s, one colour for each workload."""
    right = max(point.offered_per_s for point in measured) * 1.05
    top = max(point.p99_ms for point in measured) * 1.1
    across, up = Axis("offered requests/s", right), Axis("ms: p99 solid, p50 dashed", top)
    return line_chart(list(_lines(measured)), across, up)


def _lines(measured: Sequence[Latency]) -> Iterator[Line]:
    for number, (workload, points) in enumerate(groupby(measured, key=lambda p: p.workload)):
        color, found = COLORS[number % len(COLORS)], list(points)
        yield Line([(p.offered_per_s, p.p50_ms) for p in found], color, dashes="6 4")
        yield Line([(p.offered_per_s, p.p99_ms) for p in found], color, workload)
