import pytest

from guard_service.review.figures import Agreement, Bin, Day, Split
from guard_service.web.plot import HEIGHT, WIDTH, distribution, flow, interval


def test_bars_stand_on_the_axis_and_reach_their_scale() -> None:
    plot = flow([Day(0, 10, 5, 3), Day(86_400_000, 0, 2, 6)])
    assert [bar.height for bar in plot.bars] == [HEIGHT, HEIGHT / 2, 0, HEIGHT / 5]
    assert all(bar.y + bar.height == HEIGHT for bar in plot.bars)
    assert plot.line.split()[1].endswith(",0.0")
    assert plot.bars[2].title == "02 Jan: 0 opened"


def test_parts_of_a_bin_are_stacked_and_empty_ones_not_drawn() -> None:
    plot = distribution([Bin(1, Split(2, 1)), Bin()])
    assert [bar.kind for bar in plot.bars] == ["upheld", "overturned", "waiting"]
    assert [bar.y for bar in plot.bars] == [HEIGHT / 2, HEIGHT / 4, 0]
    assert all(bar.x < WIDTH / 2 for bar in plot.bars)


def test_nothing_is_drawn_of_nothing() -> None:
    assert flow([]).bars == distribution([]).bars == ()
    assert interval(Agreement(0, 0)) is None


def test_an_interval_is_wilsons() -> None:
    found = interval(Agreement(9, 10))
    assert found is not None
    assert (found.low, found.high) == (
        pytest.approx(0.596, abs=1e-3),
        pytest.approx(0.982, abs=1e-3),
    )
