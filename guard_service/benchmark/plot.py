"""Latency against load as an SVG of its own: no library, opens anywhere."""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from guard_service.benchmark.report import Latency

_WIDTH, _HEIGHT, _MARGIN = 720, 420, 60
_COLORS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad")


def latency_plot(measured: Sequence[Latency]) -> str:
    """p50 (dashed) and p99 (solid) in ms over offered requests/s, one colour for each workload."""
    right = max(point.offered_per_s for point in measured) * 1.05
    top = max(point.p99_ms for point in measured) * 1.1
    parts = [*_axes(right, top)]
    for number, (workload, points) in enumerate(groupby(measured, key=lambda p: p.workload)):
        color, line = _COLORS[number % len(_COLORS)], list(points)
        for dashes, values in (("6 4", [p.p50_ms for p in line]), ("", [p.p99_ms for p in line])):
            places = [
                f"{_x(point.offered_per_s, right):.1f},{_y(value, top):.1f}"
                for point, value in zip(line, values, strict=True)
            ]
            parts.append(
                f'<polyline fill="none" stroke="{color}" stroke-width="2" '
                f'stroke-dasharray="{dashes}" points="{" ".join(places)}"/>'
            )
        parts.append(_text(_MARGIN + 10, _MARGIN + 18 * number, workload, color))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'
    )


def _axes(right: float, top: float) -> list[str]:
    left, floor = _MARGIN, _HEIGHT - _MARGIN
    parts = [
        f'<path d="M{left} {_MARGIN / 2} V{floor} H{_WIDTH - 20}" fill="none" stroke="#333"/>',
        _text(_WIDTH / 2 - 60, _HEIGHT - 15, "offered requests/s"),
        _text(10, 20, "ms: p99 solid, p50 dashed"),
    ]
    for step in range(1, 5):
        x, y = right * step / 4, top * step / 4
        parts.append(_text(_x(x, right) - 12, floor + 18, f"{x:.3g}"))
        parts.append(_text(8, _y(y, top) + 4, f"{y:.3g}"))
        parts.append(f'<path d="M{left} {_y(y, top):.1f} H{_WIDTH - 20}" stroke="#ddd"/>')
    return parts


def _x(value: float, right: float) -> float:
    return _MARGIN + (_WIDTH - 20 - _MARGIN) * value / right


def _y(value: float, top: float) -> float:
    return _HEIGHT - _MARGIN - (_HEIGHT - 1.5 * _MARGIN) * value / top


def _text(x: float, y: float, text: str, color: str = "#333") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}">{escape(text)}</text>'
