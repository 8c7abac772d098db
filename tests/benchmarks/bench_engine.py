"""Ours against transformers' `generate`, interleaved on the same prompts (`make bench`).

    python tests/benchmarks/bench_engine.py [--model DIR] [--device cpu] [--prompts 64] [--rounds 5]

One at a time is the model card's snippet; a static batch is left-padded and sorted by length.
Prints the median of the rounds, their range, and the ratio to one at a time. Answers must agree.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from guard_service.conversation import Conversation, Message, Role
from guard_service.engine.checkpoint import models_folder
from guard_service.engine.message import Load
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.engine.worker import load_guard
from guard_service.policy import read_policy
from guard_service.prompt import Prompt

ROOT = Path(__file__).parent.parent.parent
BATCH = 32
Verdicts = list[bool]


class Generate:
    """transformers' own `generate`: the first token it writes is the verdict."""

    def __init__(self, folder: Path, device: str, dtype: torch.dtype) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
        self._unsafe = GuardTokenizer.from_folder(folder).answer.unsafe

    @torch.inference_mode()
    def read(self, prompts: Sequence[Prompt], batch: int) -> Verdicts:
        order = sorted(range(len(prompts)), key=lambda i: prompts[i].num_tokens)
        verdicts: dict[int, bool] = {}
        for at in range(0, len(order), batch):
            places = order[at : at + batch]
            texts = [[*prompts[i].prefix.ids, *prompts[i].ids] for i in places]
            longest = max(map(len, texts))
            ids = torch.tensor([[0] * (longest - len(text)) + text for text in texts])
            mask = torch.tensor([[0] * (longest - len(t)) + [1] * len(t) for t in texts])
            written = self._model.generate(
                ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=20,
                do_sample=False,
                pad_token_id=0,
            )
            verdicts |= dict(
                zip(places, (written[:, longest] == self._unsafe).tolist(), strict=True)
            )
        return [verdicts[i] for i in range(len(prompts))]


def conversations(path: Path, limit: int) -> list[Conversation]:
    """Our own contrast rows, every one of a different length."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [row["text"] for row in rows if "text" in row]
    return [Conversation((Message(Role.USER, text),)) for text in texts[:: len(texts) // limit]]


def timed(read: Callable[[], Verdicts]) -> tuple[float, Verdicts]:
    started = time.perf_counter()
    verdicts = read()
    return time.perf_counter() - started, verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=models_folder() / "guard-tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    policy = read_policy(ROOT / "guard_service/policies/default.toml")
    tokenizer = GuardTokenizer.from_folder(arguments.model)
    judged = conversations(models_folder() / "guard-tiny/contrast.jsonl", arguments.prompts)
    prompts = [tokenizer.prompts(one, policy)[0][0] for one in judged]
    guard, loaded = load_guard(Load(arguments.model, arguments.device, "auto", None))
    generate = Generate(arguments.model, arguments.device, getattr(torch, loaded.dtype))

    def ours() -> Verdicts:
        batches = [prompts[at : at + BATCH] for at in range(0, len(prompts), BATCH)]
        return [r.unsafe_score >= 0.5 for batch in batches for r in guard.read(batch)]

    sides: dict[str, Callable[[], Verdicts]] = {
        "generate, one at a time": lambda: generate.read(prompts, 1),
        f"generate, static batch of {BATCH}": lambda: generate.read(prompts, BATCH),
        f"ours, batches of {BATCH}": ours,
    }
    compare(sides, len(prompts), arguments.rounds)


def compare(sides: dict[str, Callable[[], Verdicts]], num_prompts: int, rounds: int) -> None:
    verdicts = {name: read() for name, read in sides.items()}  # warm-up, and the answers
    expected = next(iter(verdicts.values()))
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, read in sides.items():
            seconds[name].append(timed(read)[0])
    base = statistics.median(next(iter(seconds.values())))
    print(f"{num_prompts} prompts, median of {rounds} rounds, torch {torch.__version__}")
    for name, times in seconds.items():
        rates = sorted(num_prompts / t for t in times)
        median = statistics.median(rates)
        agreed = sum(a == b for a, b in zip(verdicts[name], expected, strict=True))
        print(
            f"{name:32} {median:7.1f} req/s ({rates[0]:.1f} to {rates[-1]:.1f})"
            f"  x{base / statistics.median(times):.2f}  verdicts agree {agreed}/{num_prompts}"
        )


if __name__ == "__main__":
    main()
