"""What it costs to read the category with the verdict: three tokens and three rows more a prompt.

    PYTHONPATH=tests python tests/benchmarks/bench_readout.py --model FOLDER [--dtype bfloat16]

Each pass with the draft behind every prompt and four rows read, and beside it without, the
verdict's row alone read. Nothing is listed: lists come after. Each prompt is up to 15 tokens
shorter than its workload says, so that no length falls on a whole tile of a kernel by chance.
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

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.llama_guard import LlamaGuard
from guard_service.engine.message import Load
from guard_service.engine.packing import Segment
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


def ratio(guard: LlamaGuard, prompts: list[Prompt], is_full_first: bool) -> float:
    """How many times as long the pass takes with the draft."""
    works: list[Callable[[], object]] = [
        lambda: guard.read(prompts),
        lambda: read_verdicts(guard, prompts),
    ]
    if is_full_first:
        full, plain = map(seconds, works)
    else:
        plain, full = map(seconds, reversed(works))
    return full / plain


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
        replace(prompt, ids=prompt.ids[number % 16 :], list_above=2.0)
        for number, prompt in enumerate(workload_prompts(tokenizer, asked.workload, asked.prompts))
    ]
    batches = list(passes(prompts))
    found = [
        [ratio(guard, batch, is_full_first=bool(number % 2)) for batch in batches]
        for number in range(asked.rounds + 1)
    ]
    ratios = [one for of_round in found[1:] for one in of_round]  # the first is not counted
    low, middle, high = statistics.quantiles(ratios)
    print(
        f"{len(prompts)} prompts of {asked.workload} in {len(batches)} passes: with the draft "
        f"{middle:.3f}x as long (half of {len(ratios)} pairs {low:.3f} to {high:.3f})"
    )


if __name__ == "__main__":
    main()
