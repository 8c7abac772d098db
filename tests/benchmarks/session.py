"""What the stages of the GPU benchmark share: where they work, what earlier ones left."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from benchmarks.readout import workload_prompts

from guard_service.benchmark.work import Shape
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.llama_guard import LlamaGuard
from guard_service.engine.message import Load
from guard_service.engine.worker import load_guard
from guard_service.prompt import Prompt

DTYPE = "bfloat16"


@dataclass
class Session:
    """What earlier stages leave to later ones."""

    out: Path
    shape: str
    device: str
    num_prompts: int
    rounds: int
    guard: LlamaGuard | None = field(default=None, repr=False)
    flops_per_s: float | None = None  # of the matrix product in this run

    @property
    def folder(self) -> Path:
        return self.out / f"random-{self.shape}"

    @property
    def sizes(self) -> Shape:
        return Shape.of_folder(self.folder)

    def prompts(self, workload: str) -> list[Prompt]:
        tokenizer = GuardTokenizer.from_folder(self.folder)
        return workload_prompts(tokenizer, workload, self.num_prompts)

    def loaded(self) -> LlamaGuard:
        """The engine of the stage before, or loaded now where that failed."""
        if self.guard is None:
            self.guard, _ = load_guard(Load(self.folder, self.device, DTYPE, None))
        return self.guard

    def synchronize(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        """Median of the rounds, after one that is not counted."""
        work()
        times = []
        for _ in range(self.rounds):
            self.synchronize()
            started = time.perf_counter()
            work()
            self.synchronize()
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    def mfu(self, prompts: Sequence[Prompt], seconds: float) -> float | None:
        if self.flops_per_s is None:
            return None
        sizes = self.sizes
        flops = sum(sizes.flops(len(p.prefix.ids), len(p.ids)) for p in prompts)
        return flops / seconds / self.flops_per_s
