"""What share of the bare engine's rate `guard screen` gets, on the same rows and the same engine.

    PYTHONPATH=tests python -m benchmarks.checkpoint FOLDER --shape 67m
    PYTHONPATH=tests python -m benchmarks.bench_screening_engine LOG.jsonl --model FOLDER

In turn, round for round: the rows' prompts, made before, go to the engine process in full passes
that all wait in its socket; then `guard screen` judges the same lines into a folder. Prints both
rates, the median of the rounds' ratios, and what CPU time the screening's own process took.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from benchmarks.bench_screening import TERMS, make_log
from benchmarks.stages import passes

from guard_service.app import Guard, open_guard
from guard_service.config import Settings
from guard_service.conversation import Judge
from guard_service.engine.message import Batch, Piece
from guard_service.prompt import Prompt
from guard_service.question import build_question
from guard_service.screening.chunk import LineReader, cut
from guard_service.screening.culprit import CulpritFinder
from guard_service.screening.judge import LocalJudge, NoReview
from guard_service.screening.output import Output
from guard_service.screening.run import Screening
from guard_service.screening.source import find_sources
from guard_service.screening.subject import Item, Subject

READER = LineReader(frozenset({Subject.LAST_USER, Subject.REPLY}))
FIRST_KEY = 10**9  # the batcher counts from 0


@dataclass(frozen=True)
class Round:
    bare_s: float
    screen_s: float
    front_cpu_s: float


class Race:
    def __init__(self, guard: Guard, settings: Settings, log: Path) -> None:
        self._guard, self._settings, self._log = guard, settings, log
        self._keys = count(FIRST_KEY)
        policy = guard.pipeline.policies[settings.default_policy]
        self._prompts = [
            prompt
            for item in self.items
            for prompt in build_question(
                guard.pipeline.tokenizer, item.conversation, Judge.LAST, policy
            ).prompts
        ]

    @property
    def items(self) -> list[Item]:
        chunks = map(READER.read_chunk, cut(find_sources([str(self._log)])))
        return [item for chunk in chunks for item in chunk.items]

    @property
    def num_tokens(self) -> int:
        return sum(len(prompt.ids) for prompt in self._prompts)

    async def run(self, *, screens_first: bool) -> Round:
        if not screens_first:
            bare_s = await self._bare()
        started, started_cpu = time.perf_counter(), time.process_time()
        await self._screen()
        screen_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
        if screens_first:
            bare_s = await self._bare()
        return Round(bare_s, screen_s, cpu_s)

    async def _bare(self) -> float:
        (engine,) = self._guard.engine.engines
        formed = list(passes(self._prompts, self._settings.max_bulk_batch_tokens))
        started = time.perf_counter()
        await asyncio.gather(*(engine.read(self._batch(prompts)) for prompts in formed))
        return time.perf_counter() - started

    def _batch(self, prompts: Sequence[Prompt]) -> Batch:
        return Batch(tuple(Piece.whole(next(self._keys), prompt) for prompt in prompts))

    async def _screen(self) -> None:
        pipeline = replace(self._guard.pipeline, feed=NoReview())
        policy = pipeline.policies[self._settings.default_policy]
        local = LocalJudge(pipeline, policy.id, policy.digest, self._settings.max_batch_requests)
        with (
            tempfile.TemporaryDirectory() as folder,
            Output(Path(folder), TERMS) as output,
        ):
            judge = CulpritFinder(local, patience_s=60)
            await Screening(READER, judge, output).run(find_sources([str(self._log)]))


async def race(settings: Settings, log: Path, num_rounds: int) -> None:
    async with open_guard(settings) as guard:
        await guard.engine.start()
        racing = Race(guard, settings, log)
        num_rows = len(racing.items)
        print(f"{num_rows} rows, {racing.num_tokens} tokens behind the prefixes", flush=True)
        await racing.run(screens_first=False)  # warms both up
        rounds = []
        for number in range(num_rounds):
            done = await racing.run(screens_first=bool(number % 2))
            rounds.append(done)
            print(
                f"bare {num_rows / done.bare_s:.2f}/s, screen {num_rows / done.screen_s:.2f}/s, "
                f"ratio {done.bare_s / done.screen_s:.3f}, "
                f"front {done.front_cpu_s / num_rows * 1000:.2f} ms of CPU a row",
                flush=True,
            )
    ratios = sorted(each.bare_s / each.screen_s for each in rounds)
    print(f"screen at {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--model", default="guard-tiny")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    settings = Settings(
        model=given.model, dtype=given.dtype, database_url="sqlite://", max_pass_s=600
    )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        make_log(given.log, log, given.rows // 2)
        asyncio.run(race(settings, log, given.rounds))


if __name__ == "__main__":
    main()
