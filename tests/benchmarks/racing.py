"""Runs peers in turn on the same prompts and compares their answers; knows no peer by name."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.runners.protocol import Work

from guard_service.supervision.process import ALLOCATOR

RUNNERS = Path(__file__).parent / "runners"


@dataclass(frozen=True)
class Entry:
    """A peer as it is measured."""

    name: str
    runner: str
    home: str  # whose environment
    options: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    is_unsafe: bool
    codes: frozenset[str]
    score: float | None = None  # of unsafe, where the peer tells


@dataclass(frozen=True)
class Result:
    """A peer's rounds, or why there are none."""

    entry: Entry
    version: str = ""
    load_s: float = 0.0
    seconds: tuple[float, ...] = ()
    answers: tuple[Answer, ...] = ()
    problem: str = ""


class Runner:
    """One peer in its own process."""

    def __init__(self, entry: Entry, work: Work, log: Path) -> None:
        self.entry, self._seconds = entry, list[float]()
        self.problem, self._raw = "", list[Any]()
        self.version, self.load_s = "", 0.0
        self._process: subprocess.Popen[str] | None = None
        home = environment(entry.home)
        self.problem = home.problem
        if not self.problem:
            self._start(home.python, work, log)

    def _start(self, python: Path, work: Work, log: Path) -> None:
        here = str(RUNNERS.parent.parent.parent)
        with log.open("a") as said:
            self._process = subprocess.Popen(
                (str(python), str(RUNNERS / self.entry.runner)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env=ALLOCATOR | os.environ | {"PYTHONPATH": here},  # as our engine has it, for all
            )
        started = time.perf_counter()
        options = asdict(work) | {"options": self.entry.options}
        loaded = self._ask(options)
        self.version = loaded["ready"] if loaded else ""
        self.load_s = time.perf_counter() - started

    def warm_up(self) -> None:
        """The first run, not timed; its answers are the ones that are compared."""
        self._ask("prepare")
        self._raw = self._ask("run") or []

    def run(self) -> None:
        self._ask("prepare")
        started = time.perf_counter()
        if self._ask("run") is not None:
            self._seconds.append(time.perf_counter() - started)

    def result(self, answers: Sequence[Answer]) -> Result:
        return Result(
            self.entry,
            self.version,
            self.load_s,
            tuple(self._seconds),
            tuple(answers),
            self.problem,
        )

    @property
    def raw(self) -> list[Any]:
        return self._raw

    def close(self) -> None:
        if self._process is not None:
            try:
                self._process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()

    def _ask(self, message: object) -> Any:
        if self.problem or self._process is None:
            return None
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            self.problem = f"its process ended with status {self._process.wait()}"
            return None


def race(runners: Sequence[Runner], rounds: int) -> None:
    """A/B/A/B: every round asks each peer once, so that what disturbs one disturbs all."""
    for runner in runners:
        runner.warm_up()
    for _ in range(rounds):
        for runner in runners:
            runner.run()


@dataclass(frozen=True)
class Compared:
    """How one peer's answers stand to ours. `outside`: by more than rounding may tip."""

    num: int
    num_verdicts_equal: int
    num_verdicts_outside: int
    num_answers_equal: int  # codes too


def compare(answers: Sequence[Answer], ours: Sequence[Answer], band: float) -> Compared:
    pairs = list(zip(answers, ours, strict=True))
    differing = [our for other, our in pairs if other.is_unsafe != our.is_unsafe]
    return Compared(
        num=len(pairs),
        num_verdicts_equal=len(pairs) - len(differing),
        num_verdicts_outside=sum(abs((our.score or 0.0) - 0.5) > band for our in differing),
        num_answers_equal=sum(
            (other.is_unsafe, other.codes) == (our.is_unsafe, our.codes) for other, our in pairs
        ),
    )


def rate(result: Result) -> float:
    """Requests a second, median of the rounds."""
    return len(result.answers) / statistics.median(result.seconds)
