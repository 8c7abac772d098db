"""What it costs to read the category with the verdict: three tokens and three rows more a prompt.

    PYTHONPATH=tests python tests/benchmarks/bench_readout.py --model FOLDER [--dtype bfloat16]

Passes of the same prompts in turn, with the draft behind each and four rows read, and without, the
verdict's row alone read. Nothing is listed: lists come after.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from benchmarks.readout import workload_prompts
from benchmarks.stages import passes

from guard_service.engine.llama_guard import LlamaGuard
from guard_service.engine.message import Load
from guard_service.engine.packing import Segment
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.engine.worker import load_guard
from guard_service.prompt import Prompt


@torch.inference_mode()
def read_verdicts(guard: LlamaGuard, prompts: list[Prompt]) -> None:
    """Verdicts alone, as a plain prefill gives them."""
    segments = [Segment(p.ids, (guard.prefixes.get(p.prefix),), num_read=1) for p in prompts]
    guard.head.labels(guard.llama.forward(segments).rows).tolist()


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--workload", default="W100")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    guard, _ = load_guard(Load(asked.model, asked.device, asked.dtype, None))
    tokenizer = GuardTokenizer.from_folder(asked.model)
    prompts = [
        replace(prompt, list_above=2.0)
        for prompt in workload_prompts(tokenizer, asked.workload, asked.prompts)
    ]
    batches = list(passes(prompts))
    ratios = []
    for number in range(asked.rounds + 1):
        full = seconds(lambda: [guard.read(batch) for batch in batches])
        plain = seconds(lambda: [read_verdicts(guard, batch) for batch in batches])
        if number:  # the first is not counted
            ratios.append(full / plain)
    print(
        f"{len(prompts)} prompts of {asked.workload} in {len(batches)} passes: with the draft "
        f"{statistics.median(ratios):.3f}x as long ({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
