"""From counts to the coordinates that templates draw as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt

from guard_service.review.figures import Agreement, Bin, Day

WIDTH, HEIGHT = 640.0, 180.0


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    bars: tuple[Bar, ...]
    line: str = ""  # points of a polyline
    top: int = 0  # the count at the upper edge
    line_top: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A share and where it lies with 95 % (Wilson); None where there is nothing to tell it by."""

    share: float
    low: float
    high: float


def flow(days: Sequence[Day]) -> Plot:
    """Opened and closed side by side, the backlog as a line with a scale of its own."""
    top = max((max(d.num_opened, d.num_closed) for d in days), default=0)
    line_top = max((d.backlog for d in days), default=0)
    slot, bars, points = WIDTH / max(len(days), 1), [], []
    for number, day in enumerate(days):
        date = f"{datetime.fromtimestamp(day.start_ms / 1000, UTC):%d %b}"
        for offset, kind, count in ((0, "opened", day.num_opened), (1, "closed", day.num_closed)):
            x = number * slot + slot * (0.15 + 0.35 * offset)
            bars.append(_bar(x, slot * 0.33, count, top, kind, f"{date}: {count} {kind}"))
        points.append(f"{(number + 0.5) * slot:.1f},{_y(day.backlog, line_top):.1f}")
    return Plot(tuple(bars), " ".join(points), top, line_top)


def distribution(bins: Sequence[Bin]) -> Plot:
    """Stacked by what people said, from the bottom: upheld, overturned, still waiting."""
    top = max((b.num_waiting + b.outcomes.num_all for b in bins), default=0)
    slot, bars = WIDTH / max(len(bins), 1), []
    for number, each in enumerate(bins):
        low, high = number / len(bins), (number + 1) / len(bins)
        below = 0
        for kind, count in (
            ("upheld", each.outcomes.num_upheld),
            ("overturned", each.outcomes.num_overturned),
            ("waiting", each.num_waiting),
        ):
            title = f"{low:.2f} to {high:.2f}: {count} {kind}"
            bar = _bar(number * slot + 1, slot - 2, count, top, kind, title, below)
            bars += [bar] if count else []
            below += count
    return Plot(tuple(bars), top=top)


def interval(agreement: Agreement) -> Interval | None:
    n, z = agreement.num_all, 1.96
    if n == 0:
        return None
    share = agreement.num_same / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(share, max(centre - half, 0.0), min(centre + half, 1.0))


def _bar(
    x: float, width: float, count: int, top: int, kind: str, title: str, below: int = 0
) -> Bar:
    height = HEIGHT * count / max(top, 1)
    y = HEIGHT - height - HEIGHT * below / max(top, 1)
    return Bar(round(x, 1), round(y, 1), round(width, 1), round(height, 1), kind, title)


def _y(count: int, top: int) -> float:
    return HEIGHT - HEIGHT * count / max(top, 1)
