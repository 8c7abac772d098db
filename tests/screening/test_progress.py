"""What people see of a run while it goes on."""

import io

from rich.console import Console

from guard_service.screening.manifest import Done
from guard_service.screening.progress import Tally, shown

DONE = Done(0, "digest", num_lines=10, num_rows=8, num_unsafe=2, num_gaps=3, rejects_bytes=0)


def test_a_tally_adds_up_what_is_published() -> None:
    tally = Tally()
    assert tally.unsafe_share == 0.0
    for _ in range(3):
        tally.add(DONE)
    assert (tally.num_lines, tally.num_rows, tally.num_unsafe, tally.num_gaps) == (30, 24, 6, 9)
    assert tally.unsafe_share == 0.25


def test_the_line_tells_rows_unsafe_share_and_how_far_it_is() -> None:
    out = Console(file=io.StringIO(), width=120)
    with shown(out, 1000) as progress:
        progress.on_judged(16)
        progress.on_published(250, DONE)
    assert progress.tally.num_asked == 16
    told = out.file.getvalue()  # type: ignore[attr-defined]
    assert " 25%" in told
    assert "8 rows" in told
    assert "unsafe 25.00%" in told


def test_without_a_size_the_figures_are_told_alone() -> None:
    out = Console(file=io.StringIO(), width=120)
    with shown(out, None) as progress:
        progress.on_published(250, DONE)
    assert "8 rows" in out.file.getvalue()  # type: ignore[attr-defined]
