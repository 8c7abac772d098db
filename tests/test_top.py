"""What `guard top` makes of two looks at the metrics."""

import math
from io import StringIO

import pytest
from rich.console import Console

from guard_service import top
from guard_service.errors import Unavailable
from guard_service.top import Scrape, Span

NAME = "guard_check_seconds"


def histogram(at_s: float, *counts: int, lane: str = "interactive") -> Scrape:
    """With limits at 0.1, 0.2 and 0.4 s, and one beyond them."""
    limits = ("0.1", "0.2", "0.4", "+Inf")
    series = {(("lane", lane), ("le", le)): float(n) for le, n in zip(limits, counts, strict=True)}
    return Scrape(at_s, {f"{NAME}_bucket": series})


def test_a_rate_is_what_came_between_two_looks() -> None:
    before = Scrape(10.0, {"guard_x_total": {(("lane", "bulk"),): 5.0}})
    after = Scrape(12.0, {"guard_x_total": {(("lane", "bulk"),): 9.0, (("lane", "other"),): 1.0}})
    span = Span(before, after)
    assert span.rate("guard_x_total", lane="bulk") == 2.0
    assert span.rate("guard_x_total") == 2.5
    assert span.rate("guard_unknown_total") == 0.0


def test_a_quantile_is_read_even_within_its_bucket() -> None:
    span = Span(histogram(0, 10, 10, 10, 10), histogram(1, 10, 20, 20, 20))
    assert span.quantile(NAME, 0.5) == pytest.approx(0.15)
    assert span.quantile(NAME, 0.99) == pytest.approx(0.199)
    assert span.quantile(NAME, 0.5, lane="bulk") is None


def test_beyond_the_last_limit_the_last_limit_is_told() -> None:
    assert Span(Scrape(0), histogram(1, 0, 0, 0, 5)).quantile(NAME, 0.5) == 0.4


def test_where_nothing_happened_there_is_no_quantile() -> None:
    look = histogram(0, 1, 2, 3, 4)
    assert Span(look, look).quantile(NAME, 0.5) is None
    assert Span(look, look).mean(NAME) is None


def test_a_server_that_shows_nothing_is_one_clear_error() -> None:
    with pytest.raises(Unavailable, match=r"no metrics at http://127\.0\.0\.1:1"):
        top.scrape("http://127.0.0.1:1")


def test_a_frame_can_be_drawn_of_nothing_at_all() -> None:
    out = Console(record=True, width=100, file=StringIO())
    out.print(top._frame("http://x", Span(Scrape(0), Scrape(math.inf))))
    assert "NOT SERVING" in out.export_text()
