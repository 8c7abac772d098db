"""Trains guard-tiny from scratch on two CPU cores.

    python models/guard-tiny/training/train.py --data DIR --out models/guard-tiny

DIR holds the labelled JSONL files and the chat log; OUT receives weights, tokenizer and table.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import network
from augment import Exchanges, exchanges_of, vary
from encoding import Encoder, Example, fixed_text
from rows import Row, Split, read_jsonl, row_from_record, split_rows
from tokenizers import Tokenizer
from vocabulary import VOCABULARY, save_tokenizer, train_tokenizer


@dataclass(frozen=True, slots=True)
class Settings:
    hidden: int = 192
    layers: int = 3
    heads: int = 6
    kv_heads: int = 2
    feed_forward: int = 512
    context: int = 1024
    epochs: float = 8.0
    batch_tokens: int = 5000
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.04
    averaging: float = 0.996
    smoothing: float = 0.02
    language_weight: float = 0.5
    language_share: float = 0.15
    category_weight: float = 0.3
    piece_dropout: float = 0.05
    token_noise: float = 0.02
    fewer_categories: float = 0.25
    seed: int = 7
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Batch:
    prefix: Tensor
    ids: Tensor
    inputs: Tensor
    examples: tuple[Example, ...]


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


class Feed:
    """Endless epochs of batches; each epoch varies and encodes the rows anew."""

    def __init__(self, rows: tuple[Row, ...], encoder: Encoder, settings: Settings) -> None:
        self._rows = rows
        self._encoder = encoder
        self._settings = settings
        self._rng = random.Random(settings.seed)
        self._exchanges: Exchanges = exchanges_of(rows)
        self._noisy = Tokenizer.from_str(encoder.tokenizer.to_str())
        self._noisy.model.dropout = settings.piece_dropout

    def epoch(self) -> Iterator[Batch]:
        varied = [vary(row, self._exchanges, self._rng) for row in self._rows]
        examples = [self._encoder.example(row, source=self._noisy) for row in varied]
        groups = list(cut_batches(examples, self._settings.batch_tokens, self._rng))
        self._rng.shuffle(groups)
        for group in groups:
            yield self._batch(group)

    def _batch(self, examples: list[Example]) -> Batch:
        dropped: frozenset[str] = frozenset()
        if self._rng.random() < self._settings.fewer_categories:
            dropped = self._unused_categories(examples)
        prefix = torch.tensor(self._encoder.prefix(examples[0].row.role, dropped))
        ids = pad([e.ids for e in examples], self._encoder.control("finetune_right_pad_id"))
        inputs = ids.clone()
        for row, example in enumerate(examples):
            num_noisy = int(example.num_text * self._settings.token_noise * self._rng.random() * 2)
            for _ in range(num_noisy):
                at = self._rng.randrange(2, max(3, example.num_text))
                inputs[row, at] = self._rng.randrange(VOCABULARY - 8)
        return Batch(prefix, ids, inputs, tuple(examples))

    def _unused_categories(self, examples: list[Example]) -> frozenset[str]:
        used = {code for example in examples for code in example.row.categories}
        free = [f"S{n}" for n in range(1, 15) if f"S{n}" not in used]
        return frozenset(self._rng.sample(free, self._rng.randint(0, min(6, len(free)))))


def cut_batches(
    examples: list[Example], max_tokens: int, rng: random.Random
) -> Iterator[list[Example]]:
    """Batches of one role and similar length, at most `max_tokens` with padding."""
    for role in ("user", "assistant"):
        mine = [e for e in examples if e.row.role == role]
        mine.sort(key=lambda e: len(e.ids) * rng.uniform(0.85, 1.15))
        group: list[Example] = []
        for example in mine:
            longest = max(len(e.ids) for e in [*group, example])
            if group and longest * (len(group) + 1) > max_tokens:
                yield group
                group = []
            group.append(example)
        if group:
            yield group


def pad(rows: list[tuple[int, ...]], filler: int) -> Tensor:
    width = -(-max(len(row) for row in rows) // 16) * 16
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


def loss_of(model: LlamaForCausalLM, batch: Batch, encoder: Encoder, settings: Settings) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        states = network.hidden_states(model, batch.prefix, batch.inputs)[-1]
    return (
        verdict_loss(model, states, batch, encoder, settings)
        + settings.category_weight * category_loss(model, states, batch)
        + settings.language_weight * language_loss(model, states, batch, settings)
    )


def verdict_loss(
    model: LlamaForCausalLM, states: Tensor, batch: Batch, encoder: Encoder, settings: Settings
) -> Tensor:
    """Cross entropy over the whole vocabulary against a smoothed safe/unsafe target."""
    at = torch.tensor([e.verdict_at for e in batch.examples])
    logs = F.log_softmax(model.lm_head(states[torch.arange(len(at)), at]).float(), dim=-1)
    smoothing = settings.smoothing
    unsafe = torch.tensor([1 - smoothing if e.unsafe else smoothing for e in batch.examples])
    safe_id, unsafe_id = encoder.verdicts
    return -(logs[:, safe_id] * (1 - unsafe) + logs[:, unsafe_id] * unsafe).mean()


def category_loss(model: LlamaForCausalLM, states: Tensor, batch: Batch) -> Tensor:
    places = [
        (row, e.verdict_at + step)
        for row, e in enumerate(batch.examples)
        for step in range(1, e.num_answer)
    ]
    return _next_token_loss(model, states, batch.ids, torch.tensor(places))


def language_loss(
    model: LlamaForCausalLM, states: Tensor, batch: Batch, settings: Settings
) -> Tensor:
    lengths = torch.tensor([e.num_text for e in batch.examples])
    inside = torch.arange(batch.ids.shape[1] - 1)[None] < (lengths - 1)[:, None]
    places = inside.nonzero()
    chosen = torch.randperm(len(places))[: max(64, int(len(places) * settings.language_share))]
    return _next_token_loss(model, states, batch.ids, places[chosen])


def _next_token_loss(
    model: LlamaForCausalLM, states: Tensor, ids: Tensor, places: Tensor
) -> Tensor:
    row, at = places.unbind(1)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.lm_head(states[row, at])
    return F.cross_entropy(logits.float(), ids[row, at + 1])


@dataclass(frozen=True, slots=True)
class Training:
    model: LlamaForCausalLM
    averaged: torch.optim.swa_utils.AveragedModel
    optimiser: torch.optim.Optimizer
    num_steps: int
    settings: Settings

    def step(self, loss: Tensor, number: int) -> None:
        rate = self.settings.learning_rate * schedule(number / self.num_steps, self.settings.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.averaged.update_parameters(self.model)


def schedule(progress: float, warmup: float) -> float:
    if progress < warmup:
        return progress / warmup
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def start_training(model: LlamaForCausalLM, num_steps: int, settings: Settings) -> Training:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.averaging)
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=average)
    return Training(model, averaged, optimiser, num_steps, settings)


def fit(split: Split, encoder: Encoder, settings: Settings) -> LlamaForCausalLM:
    """Trains and returns the model with averaged weights."""
    model = build_model(settings, encoder)
    feed = Feed(split.train, encoder, settings)
    num_steps = int(settings.epochs * sum(1 for _ in feed.epoch()))
    training = start_training(model, num_steps, settings)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {num_steps} steps", flush=True)
    started, number, recent = time.monotonic(), 0, 0.0
    while number < num_steps:
        for batch in feed.epoch():
            loss = loss_of(model, batch, encoder, settings)
            training.step(loss, number)
            recent += loss.item()
            number += 1
            if number % 50 == 0:
                print(f"{number} {time.monotonic() - started:.0f}s loss {recent / 50:.3f}", flush=True)
                recent = 0.0
            if number == num_steps:
                break
    averaged: LlamaForCausalLM = training.averaged.module
    return averaged


def read_contrast(folder: Path) -> list[Row]:
    path = folder / "contrast.jsonl"
    return [row_from_record(record) for record in read_jsonl(path)] if path.exists() else []


def corpus(split: Split) -> list[str]:
    texts = [m.content for row in split.train for m in row.messages if row.lang in SPOKEN]
    return [*texts, *split.unlabelled]


SPOKEN = frozenset(("en", "fr", "de", "hi", "it", "pt", "es", "th"))


def save(model: LlamaForCausalLM, encoder: Encoder, out: Path, settings: Settings) -> None:
    model.to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
    model.to(torch.float32)
    save_tokenizer(encoder.tokenizer, out, context=settings.context)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=Settings().epochs)
    options = parser.parse_args()
    settings = Settings(epochs=options.epochs)
    torch.set_num_threads(settings.threads)
    network.layer_step = torch.compile(network.layer_step, dynamic=True)
    started = time.monotonic()
    split = split_rows(options.data, read_contrast(options.out), seed=settings.seed)
    encoder = Encoder(train_tokenizer(corpus(split), fixed_text()), settings.context)
    model = fit(split, encoder, settings)
    save(model, encoder, options.out, settings)
    print(f"trained in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
