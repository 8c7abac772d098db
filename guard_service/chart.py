"""A line chart as an SVG of its own: no library, opens anywhere, in the page's colour of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLORS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad")

_WIDTH, _HEIGHT, _MARGIN = 720, 420, 60


@dataclass(frozen=True, slots=True)
class Line:
    points: Sequence[tuple[float, float]]
    color: str
    label: str = ""
    dashes: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """From 0 to `end`."""

    title: str
    end: float


def line_chart(lines: Sequence[Line], across: Axis, up: Axis) -> str:
    parts = [*_axes(across, up)]
    for line in lines:
        places = " ".join(f"{_x(x, across):.1f},{_y(y, up):.1f}" for x, y in line.points)
        parts.append(
            f'<polyline fill="none" stroke="{line.color}" stroke-width="2" '
            f'stroke-dasharray="{line.dashes}" points="{places}"/>'
        )
    for number, line in enumerate(line for line in lines if line.label):
        parts.append(_text(_MARGIN + 10, _MARGIN + 18 * number, line.label, line.color))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'
    )


def _axes(across: Axis, up: Axis) -> list[str]:
    left, floor = _MARGIN, _HEIGHT - _MARGIN
    parts = [
        f'<path d="M{left} {_MARGIN / 2} V{floor} H{_WIDTH - 20}" fill="none" '
        'stroke="currentColor"/>',
        _text(_WIDTH / 2 - 60, _HEIGHT - 15, across.title),
        _text(10, 20, up.title),
    ]
    for step in range(1, 5):
        x, y = across.end * step / 4, up.end * step / 4
        parts.append(_text(_x(x, across) - 12, floor + 18, f"{x:.3g}"))
        parts.append(_text(8, _y(y, up) + 4, f"{y:.3g}"))
        parts.append(
            f'<path d="M{left} {_y(y, up):.1f} H{_WIDTH - 20}" stroke="#888" opacity="0.3"/>'
        )
    return parts


def _x(value: float, axis: Axis) -> float:
    return _MARGIN + (_WIDTH - 20 - _MARGIN) * value / axis.end


def _y(value: float, axis: Axis) -> float:
    return _HEIGHT - _MARGIN - (_HEIGHT - 1.5 * _MARGIN) * value / axis.end


def _text(x: float, y: float, text: str, color: str = "currentColor") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{color}">{escape(text)}</text>'
