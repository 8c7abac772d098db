"""Trains guard-tiny from scratch on two CPU cores.

    python models/guard-tiny/training/train.py --data DIR --out models/guard-tiny

DIR holds the labelled JSONL files and the chat log; OUT receives weights, tokenizer and table.
"""

import argparse
import copy
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import network
from augment import Exchanges, exchanges_of, vary
from calibrate import bake_calibration
from encoding import Encoder, Example, fixed_text
from reading import load
from rows import SPOKEN, Row, Split, read_jsonl, row_from_record, split_rows
from teacher import Lesson, Lessons, teach
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
    reading_epochs: float = 2.0
    reading_tokens: int = 160
    epochs: float = 4.0
    num_made: int = 5000
    short_text: int = 256
    short_share: float = 0.85
    batch_tokens: int = 5000
    reading_batch_tokens: int = 3500
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.05
    warmup: float = 0.04
    averaging: float = 0.996
    smoothing: float = 0.02
    language_weight: float = 0.5
    language_share: float = 0.1
    category_weight: float = 0.3
    vector_weight: float = 1.0
    hint_weight: float = 0.5
    piece_dropout: float = 0.05
    token_noise: float = 0.02
    fewer_categories: float = 0.25
    max_false_alarms: float = 0.005
    snapshot_every: int = 400
    seed: int = 7
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Batch:
    prefix: Tensor
    ids: Tensor
    inputs: Tensor
    examples: tuple[Example, ...]
    lessons: tuple[Lesson, ...]
    judging: bool


class Heads(torch.nn.Module):
    """Outputs that exist in training alone: the teacher's vector and its P(unsafe)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.vector = torch.nn.Linear(hidden, 384)
        self.hint = torch.nn.Linear(hidden, 2)


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
    """Batches of either lesson: reading (the text alone) and judging (the whole prompt).

    Every epoch varies and encodes the rows anew.
    """

    def __init__(
        self, rows: tuple[Row, ...], lessons: Lessons, encoder: Encoder, settings: Settings
    ) -> None:
        self._rows = rows
        self._lessons = lessons
        self._encoder = encoder
        self._settings = settings
        self._rng = random.Random(settings.seed)
        self._exchanges: Exchanges = exchanges_of(rows)
        self._noisy = Tokenizer.from_str(encoder.tokenizer.to_str())
        self._noisy.model.dropout = settings.piece_dropout

    def reading(self) -> Iterator[Batch]:
        length = self._settings.reading_tokens
        examples = [
            self._encoder.reading(row, source=self._noisy, max_tokens=length)
            for row in (*self._rows, *self._lessons.made)
        ]
        return self._batches(examples, self._settings.reading_batch_tokens)

    def judging(self) -> Iterator[Batch]:
        settings = self._settings
        chosen = [row for row in self._rows if self._rng.random() < share(row)]
        varied = [vary(row, self._exchanges, self._rng) for row in chosen]
        varied += self._rng.sample(
            self._lessons.made, min(settings.num_made, len(self._lessons.made))
        )
        examples = []
        for row in varied:
            short = self._rng.random() < settings.short_share
            length = settings.short_text if short else None
            examples.append(self._encoder.example(row, source=self._noisy, max_text=length))
        return self._batches(examples, settings.batch_tokens)

    def _batches(self, examples: list[Example], max_tokens: int) -> Iterator[Batch]:
        groups = list(cut_batches(examples, max_tokens, self._rng))
        self._rng.shuffle(groups)
        return (self._batch(group) for group in groups)

    def _batch(self, examples: list[Example]) -> Batch:
        dropped: frozenset[str] = frozenset()
        if self._rng.random() < self._settings.fewer_categories:
            dropped = self._unused_categories(examples)
        judging = examples[0].num_answer > 0
        whole = self._encoder.prefix(examples[0].row.role, dropped)
        prefix = torch.tensor(whole if judging else whole[:2])
        ids = pad([e.ids for e in examples], self._encoder.control("finetune_right_pad_id"))
        inputs = ids.clone()
        for row, example in enumerate(examples):
            num_noisy = int(example.num_text * self._settings.token_noise * self._rng.random() * 2)
            for _ in range(num_noisy):
                at = self._rng.randrange(2, max(3, example.num_text))
                inputs[row, at] = self._rng.randrange(VOCABULARY - 8)
        lessons = tuple(self._lessons.by_id[example.row.id] for example in examples)
        return Batch(prefix, ids, inputs, tuple(examples), lessons, judging)

    def _unused_categories(self, examples: list[Example]) -> frozenset[str]:
        used = {code for example in examples for code in example.row.categories}
        free = [f"S{n}" for n in range(1, 15) if f"S{n}" not in used]
        return frozenset(self._rng.sample(free, self._rng.randint(0, min(6, len(free)))))


def share(row: Row) -> float:
    """How often a row is seen: the chat log's long task dialogues are all alike."""
    return 0.5 if row.source.startswith("chatlog") else 1.0


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


@dataclass(frozen=True, slots=True)
class Student:
    model: LlamaForCausalLM
    heads: Heads
    encoder: Encoder
    settings: Settings

    def loss(self, batch: Batch) -> Tensor:
        settings = self.settings
        with torch.autocast("cpu", torch.bfloat16):
            states = network.hidden_states(self.model, batch.prefix, batch.inputs)
        loss = teacher_loss(self.heads, states[-2], batch, settings)
        loss = loss + settings.language_weight * language_loss(
            self.model, states[-1], batch, settings
        )
        if not batch.judging:
            return loss
        loss = loss + verdict_loss(self.model, states[-1], batch, self.encoder, settings)
        return loss + settings.category_weight * category_loss(self.model, states[-1], batch)


def teacher_loss(heads: Heads, states: Tensor, batch: Batch, settings: Settings) -> Tensor:
    """Matches the mean state of the judged turn with the teacher's vector and score.

    Taken one layer below the top, so that the top layer can read it from the verdict's place.
    """
    at = torch.arange(states.shape[1])[None]
    start = torch.tensor([e.judged_from for e in batch.examples])[:, None]
    end = torch.tensor([e.num_text for e in batch.examples])[:, None]
    inside = ((at >= start) & (at < end)).unsqueeze(-1)
    mean = (states.float() * inside).sum(1) / inside.sum(1)
    mean = F.rms_norm(mean, mean.shape[-1:])
    known = [index for index, lesson in enumerate(batch.lessons) if lesson.vector is not None]
    role = torch.tensor([int(e.row.role == "assistant") for e in batch.examples])
    logit = heads.hint(mean)[torch.arange(len(role)), role]
    hint = torch.tensor([lesson.unsafe_score for lesson in batch.lessons])
    loss = settings.hint_weight * F.binary_cross_entropy_with_logits(logit, hint)
    if known:
        vectors = torch.from_numpy(np.stack([batch.lessons[index].vector for index in known]))
        likeness = F.cosine_similarity(heads.vector(mean[known]), vectors, dim=-1)
        loss = loss + settings.vector_weight * (1 - likeness).mean()
    return loss


def verdict_loss(
    model: LlamaForCausalLM, states: Tensor, batch: Batch, encoder: Encoder, settings: Settings
) -> Tensor:
    """Cross entropy over the whole vocabulary against a smoothed safe/unsafe target."""
    at = torch.tensor([e.verdict_at for e in batch.examples])
    logs = F.log_softmax(model.lm_head(states[torch.arange(len(at)), at]).float(), dim=-1)
    score = torch.tensor([lesson.unsafe_score for lesson in batch.lessons])
    unsafe = settings.smoothing + (1 - 2 * settings.smoothing) * score
    safe_id, unsafe_id = encoder.verdicts
    return -(logs[:, safe_id] * (1 - unsafe) + logs[:, unsafe_id] * unsafe).mean()


def category_loss(model: LlamaForCausalLM, states: Tensor, batch: Batch) -> Tensor:
    places = [
        (row, e.verdict_at + step)
        for row, e in enumerate(batch.examples)
        for step in range(1, e.num_answer)
    ]
    if not places:
        return states.new_zeros(())
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
