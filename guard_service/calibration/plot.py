"""Precision and recall by threshold, with what 95 % lie within."""

from collections.abc import Callable

from guard_service.calibration.calibration import Row
from guard_service.calibration.estimate import Estimate
from guard_service.chart import COLORS, Axis, Line, line_chart


def plot(row: Row) -> str:
    """An SVG; a figure that is not known at a threshold has no point there."""
    lines = []
    for name, color in zip(("precision", "recall"), COLORS, strict=False):
        lines.append(Line(_points(row, name, lambda e: e.value), color, name))
        for end in (lambda e: e.low, lambda e: e.high):
            lines.append(Line(_points(row, name, end), color, dashes="4 4"))
    if row.threshold is not None:
        lines.append(Line([(row.threshold, 0), (row.threshold, 1)], COLORS[2], "threshold now"))
    if row.proposed is not None:
        lines.append(Line([(row.proposed, 0), (row.proposed, 1)], COLORS[3], "proposed"))
    return line_chart(lines, Axis(f"threshold of {row.what}", 1), Axis("", 1))


def _points(
    row: Row, name: str, end: Callable[[Estimate], float | None]
) -> list[tuple[float, float]]:
    values = [(point.threshold, end(getattr(point.figures, name))) for point in row.points]
    return [(threshold, value) for threshold, value in values if value is not None]
