"""How far a screening is, on the terminal: share of the input, rate, time left, unsafe so far."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from guard_service.screening.manifest import Done


@dataclass(slots=True)
class Tally:
    """What is published, and what was asked of the judge in this run."""

    num_lines: int = 0
    num_rows: int = 0
    num_unsafe: int = 0
    num_gaps: int = 0
    num_asked: int = 0

    def add(self, done: Done) -> None:
        self.num_lines += done.num_lines
        self.num_rows += done.num_rows
        self.num_unsafe += done.num_unsafe
        self.num_gaps += done.num_gaps

    @property
    def unsafe_share(self) -> float:
        return self.num_unsafe / self.num_rows if self.num_rows else 0.0


class Shown:
    """A Watch of a run (see run.py) that people see."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._started_s = time.monotonic()
        self.tally = Tally()

    def on_published(self, num_bytes: int, done: Done) -> None:
        self.tally.add(done)
        self._show(completed=num_bytes)

    def on_judged(self, num_items: int) -> None:
        self.tally.num_asked += num_items
        self._show()

    def _show(self, **changes: float) -> None:
        tally, seconds = self.tally, time.monotonic() - self._started_s
        rate = tally.num_asked / max(seconds, 1e-9)
        figures = f"{tally.num_rows} rows  {rate:.0f} judged/s  unsafe {tally.unsafe_share:.2%}"
        self._progress.update(self._task, **changes, figures=figures)  # type: ignore[arg-type]


@contextmanager
def shown(out: Console, num_bytes: int | None) -> Iterator[Shown]:
    """A bar over so many bytes of input; without them only the figures."""
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out) as progress:
        yield Shown(progress, progress.add_task("", total=num_bytes, figures=""))
