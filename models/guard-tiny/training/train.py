"""Trains guard-tiny from scratch on two CPU cores.

    python models/guard-tiny/training/train.py --data DIR --out models/guard-tiny

DIR holds the labelled JSONL files and the chat log; OUT receives weights, tokenizer and table.
"""

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import network
from calibrate import bake_calibration
from encoding import Encoder, fixed_text
from feed import Batch, Feed
from losses import Heads, Student
from reading import load
from rows import SPOKEN, Row, Split, read_jsonl, row_from_record, split_rows
from settings import Settings
from teacher import Lessons, teach
from vocabulary import VOCABULARY, save_tokenizer, train_tokenizer


def build_model(settings: Settings, encoder: Encoder) -> LlamaForCausalLM:
    stops = [encoder.control(name) for name in ("end_of_text", "eom_id", "eot_id")]
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=settings.hidden,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        max_position_embeddings=settings.context,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=encoder.control("begin_of_text"),
        eos_token_id=stops,
        pad_token_id=encoder.control("finetune_right_pad_id"),
    )
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=stops,
        pad_token_id=config.pad_token_id,
        do_sample=False,
    )
    return model


@dataclass(frozen=True, slots=True)
class Training:
    student: Student
    averaged: torch.optim.swa_utils.AveragedModel
    optimiser: torch.optim.Optimizer
    num_steps: int
    settings: Settings

    def step(self, loss: Tensor, number: int) -> None:
        rate = self.settings.learning_rate * schedule(number / self.num_steps, self.settings.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.averaged.update_parameters(self.student.model)


def schedule(progress: float, warmup: float) -> float:
    if progress < warmup:
        return progress / warmup
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def start_training(student: Student, num_steps: int) -> Training:
    settings = student.settings
    parameters = [*student.model.parameters(), *student.heads.parameters()]
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.averaging)
    averaged = torch.optim.swa_utils.AveragedModel(student.model, multi_avg_fn=average)
    return Training(student, averaged, optimiser, num_steps, settings)


def fit(
    split: Split,
    lessons: Lessons,
    student: Student,
    snapshot: Callable[[LlamaForCausalLM], None],
) -> LlamaForCausalLM:
    """Trains and returns the model with averaged weights, shown to `snapshot` now and then."""
    model, settings = student.model, student.settings
    feed = Feed(split.train, lessons, student.encoder, settings)
    num_reading = int(settings.reading_epochs * sum(1 for _ in feed.reading()))
    num_judging = int(settings.epochs * sum(1 for _ in feed.judging()))
    training = start_training(student, num_reading + num_judging)
    print(f"{model.num_parameters():,} parameters, {num_reading} + {num_judging} steps", flush=True)
    batches = chain(
        islice(endless(feed.reading), num_reading), islice(endless(feed.judging), num_judging)
    )
    started, recent = time.monotonic(), []
    for number, batch in enumerate(batches, 1):
        loss = student.loss(batch)
        training.step(loss, number)
        recent.append(loss.item())
        if number % 50 == 0:
            print(f"{number} {time.monotonic() - started:.0f}s {np.mean(recent):.3f}", flush=True)
            recent = []
        if number % settings.snapshot_every == 0:
            snapshot(training.averaged.module)
    return training.averaged.module


def endless(epoch: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
    while True:
        yield from epoch()


def read_contrast(folder: Path) -> list[Row]:
    path = folder / "contrast.jsonl"
    return [row_from_record(record) for record in read_jsonl(path)] if path.exists() else []


def corpus(split: Split) -> list[str]:
    texts = [m.content for row in split.train for m in row.messages if row.lang in SPOKEN]
    return [*texts, *split.unlabelled]


def save(model: LlamaForCausalLM, encoder: Encoder, out: Path, settings: Settings) -> None:
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
    save_tokenizer(encoder.tokenizer, out, context=settings.context)


def start(options: argparse.Namespace, split: Split, settings: Settings) -> Student:
    """A new model and tokenizer, or those of an earlier sitting."""
    if options.start is None:
        encoder = Encoder(train_tokenizer(corpus(split), fixed_text()), settings.context)
        model = build_model(settings, encoder)
    else:
        model, encoder = load(options.start)
    return Student(model.train(), Heads(settings.hidden), encoder, settings)


def parsed_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder that keeps the teacher's texts, vectors")
    parser.add_argument("--start", type=Path, help="goes on from the weights in this folder")
    parser.add_argument("--epochs", type=float, default=Settings().epochs)
    parser.add_argument("--reading-epochs", type=float, default=Settings().reading_epochs)
    parser.add_argument("--learning-rate", type=float, default=Settings().learning_rate)
    return parser.parse_args()


def main() -> None:
    options = parsed_options()
    settings = Settings(
        epochs=options.epochs,
        reading_epochs=options.reading_epochs,
        learning_rate=options.learning_rate,
    )
    torch.set_num_threads(settings.threads)
    network.layer_step = torch.compile(network.layer_step, dynamic=True)
    started = time.monotonic()
    split = split_rows(options.data, read_contrast(options.out), seed=settings.seed)
    student = start(options, split, settings)
    lessons = teach(split.train, seed=settings.seed, cache=options.cache)
    print(f"teacher done after {time.monotonic() - started:.0f} s", flush=True)

    def snapshot(model: LlamaForCausalLM) -> None:
        save(model, student.encoder, options.out / "snapshot", settings)

    model = fit(split, lessons, student, snapshot).eval()
    with torch.no_grad():
        found = bake_calibration(
            model,
            student.encoder,
            list(split.validation),
            max_false_alarms=settings.max_false_alarms,
        )
    print(f"calibrated: {found}")
    save(model, student.encoder, options.out, settings)
    print(f"trained in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
