"""Everything that needs a CUDA machine, in one command of under nine minutes (`make bench-gpu`).

    PYTHONPATH=tests python -m benchmarks.gpu [--shape 8b] [--device cuda] [--out FOLDER]

Each stage has a time limit of its own; its failure is written down and the run goes on.
gpu.json and gpu.md are written anew behind every stage, so a run cut short leaves what it has.
"""

import argparse
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from benchmarks import inside, stages
from benchmarks.checkpoint import SHAPES
from benchmarks.session import Session

TOTAL_S = 530


@dataclass(frozen=True)
class Stage:
    run: Callable[[Session], Any]
    limit_s: int

    @property
    def name(self) -> str:
        return self.run.__name__


STAGES = (
    Stage(stages.machine, 10),
    Stage(stages.checkpoint, 90),
    Stage(stages.load, 60),
    Stage(stages.correctness, 40),
    Stage(stages.matmul, 30),
    Stage(stages.sweep, 60),
    Stage(inside.graphs, 30),
    Stage(inside.kernels, 30),
    Stage(stages.throughput, 60),
    Stage(stages.fp8, 60),
    Stage(stages.peers, 150),
    Stage(stages.poisson, 100),
)


@dataclass
class Outcome:
    found: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def main() -> None:
    wanted = _arguments()
    wanted.out.mkdir(parents=True, exist_ok=True)
    session = Session(wanted.out, wanted.shape, wanted.device, wanted.prompts, wanted.rounds)
    outcome = Outcome()
    chosen = [stage for stage in STAGES if not wanted.stages or stage.name in wanted.stages]
    ends = time.monotonic() + wanted.total_s
    for stage in chosen:
        run_stage(stage, session, outcome, ends)
        (wanted.out / "gpu.json").write_text(json.dumps(vars(outcome), indent=2) + "\n")
        (wanted.out / "gpu.md").write_text(markdown(outcome))
    print(markdown(outcome))


def run_stage(stage: Stage, session: Session, outcome: Outcome, ends: float) -> None:
    started = time.monotonic()
    try:
        with limited(min(stage.limit_s, int(ends - started))):
            outcome.found[stage.name] = stage.run(session)
    except Exception as error:
        outcome.failed[stage.name] = f"{type(error).__name__}: {error}"
    outcome.seconds[stage.name] = round(time.monotonic() - started, 1)
    print(f"{stage.name}: {outcome.seconds[stage.name]} s", flush=True)


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """TimeoutError once the time is over; a kernel that runs is let finish."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    if seconds <= 0:
        raise TimeoutError("no time was left for it")
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def markdown(outcome: Outcome) -> str:
    """One table for each stage; of a stage without figures the reason."""
    lines = ["# GPU benchmark", ""]
    for name, seconds in outcome.seconds.items():
        lines += [f"## {name} ({seconds} s)", ""]
        lines += _table(outcome.found[name]) if name in outcome.found else [outcome.failed[name]]
        lines.append("")
    return "\n".join(lines)


def _table(found: Any) -> list[str]:
    rows = found if isinstance(found, list) else [found]
    heads = list(dict.fromkeys(key for row in rows for key in row))
    body = [[_cell(row.get(head)) for head in heads] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *body)]


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("build/bench-gpu"))
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--total-s", type=int, default=TOTAL_S)
    parser.add_argument("--stages", nargs="+", choices=[stage.name for stage in STAGES])
    return parser.parse_args()


if __name__ == "__main__":
    main()
