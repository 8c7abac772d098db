"""How much of a core the front takes for a call, with guard-tiny and calls over gRPC.

    PYTHONPATH=tests python tests/benchmarks/bench_front.py [--calls 1500] [TREE ...]

Serves each TREE (a checkout of this project; default: this one) in turn, `--rounds` times, and
prints calls a second and the CPU of the front and of the engine for each call. The rows are
guard-tiny's contrast rows, half of them unsafe: about a third is written for review.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from serving import Served, serving

from guard_service.benchmark.target import open_running
from guard_service.benchmark.traffic import send_all
from guard_service.benchmark.workload import draw_rows

HERE = Path(__file__).parents[2]
ROWS = HERE / "models/guard-tiny/contrast_test.jsonl"
UNSAFE_SHARE = 0.5


def cpu_s(pid: int) -> float:
    """What the process has taken of all cores so far."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


async def measure(served: Served, num_calls: int, num_in_flight: int) -> str:
    rows = draw_rows(ROWS, num_calls, UNSAFE_SHARE, seed=0)
    pids = served.process.pid, served.engine_pid
    async with open_running(served.target) as target:
        await send_all(target.ask, rows[:100], num_in_flight)
        before = list(map(cpu_s, pids))
        run = await send_all(target.ask, rows, num_in_flight)
        after = list(map(cpu_s, pids))
    front, engine = ((b - a) * 1000 / len(run.calls) for a, b in zip(before, after, strict=True))
    failed = len(run.calls) - len(run.answers)
    return (
        f"{len(run.answers) / run.seconds:.0f} calls/s, {front:.2f} ms of CPU a call in the front, "
        f"{engine:.2f} in the engine, {failed} failed"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", metavar="TREE", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--calls", type=int, default=1500)
    parser.add_argument("--in-flight", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    for _ in range(asked.rounds):
        for tree in asked.trees:
            with tempfile.TemporaryDirectory() as folder:
                path = {"PYTHONPATH": str(tree.resolve()), "PYTHONSAFEPATH": "1"}
                with serving(Path(folder), **path) as served:
                    told = asyncio.run(measure(served, asked.calls, asked.in_flight))
            print(f"{tree}: {told}", flush=True)


if __name__ == "__main__":
    main()
