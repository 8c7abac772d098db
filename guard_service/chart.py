"""Charts as SVG: no library, they open anywhere.

A line chart stands alone, in the page's colour of text; bars are drawn in the colours of a page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

COLORS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad")

_WIDTH, _HEIGHT, _MARGIN = 720, 420, 60
_BARS_WIDTH, _BARS_HEIGHT = 1000, 100


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


@dataclass(frozen=True, slots=True)
class Bar:
    height: float  # share of the chart's
    kind: str  # the class by which the page gives it a colour


@dataclass(frozen=True, slots=True)
class Stack:
    """Bars on top of each other, from the bottom; `title` is shown by pointing at them."""

    bars: Sequence[Bar]
    title: str


def bar_chart(stacks: Sequence[Stack], label: str, marks: Sequence[float] = ()) -> str:
    """Without any text in it, to be stretched as the page likes; marks are places from 0 to 1."""
    slot = _BARS_WIDTH / max(len(stacks), 1)
    parts = [part for n, stack in enumerate(stacks) for part in _stack(stack, n * slot, slot)]
    parts += [
        f'<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_BARS_HEIGHT}"/>'
        for x in (mark * _BARS_WIDTH for mark in marks)
    ]
    body = "\n".join(parts)
    return (
        f'<svg class="bars" viewBox="0 0 {_BARS_WIDTH} {_BARS_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(label)}">\n{body}\n</svg>'
    )


def _stack(stack: Stack, x: float, slot: float) -> Iterator[str]:
    yield f"<g><title>{escape(stack.title)}</title>"
    # Pointing anywhere above a low bar is pointing at it.
    yield f'<rect x="{x:.2f}" y="0" width="{slot:.2f}" height="{_BARS_HEIGHT}" opacity="0"/>'
    y = float(_BARS_HEIGHT)
    for bar in stack.bars:
        height = bar.height * _BARS_HEIGHT
        y -= height
        yield (
            f'<rect class="{bar.kind}" x="{x + slot * 0.08:.2f}" y="{y:.2f}" '
            f'width="{slot * 0.84:.2f}" height="{height:.2f}"/>'
        )
    yield "</g>"


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
