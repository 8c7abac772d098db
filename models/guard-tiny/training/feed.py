"""Batches for training: rows varied, encoded and cut by length."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from augment import Exchanges, exchanges_of, vary
from encoding import Encoder, Example
from rows import Row
from settings import Settings
from teacher import Lesson, Lessons
from tokenizers import Tokenizer
from torch import Tensor
from vocabulary import VOCABULARY


@dataclass(frozen=True, slots=True)
class Batch:
    prefix: Tensor
    ids: Tensor
    inputs: Tensor
    examples: tuple[Example, ...]
    lessons: tuple[Lesson, ...]


class Feed:
    """Batches of either lesson: reading (the turn alone) and judging (the whole prompt).

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
        rows = [*self._rows, *self._lessons.made]
        self._rng.shuffle(rows)
        for part in _parts(rows, 16_000):
            yield from self._batches([self._reading(row) for row in part], reading=True)

    def judging(self) -> Iterator[Batch]:
        made = list(self._lessons.made)
        made = self._rng.sample(made, int(self._settings.made_share * len(made)))
        rows = [row for row in self._rows if self._rng.random() < share(row)] + made
        self._rng.shuffle(rows)
        for part in _parts(rows, 8_000):
            yield from self._batches([self._judging(row) for row in part], reading=False)

    def _reading(self, row: Row) -> Example:
        varied = vary(row, self._exchanges, self._rng)
        length = self._settings.reading_tokens
        return self._encoder.reading(varied, source=self._noisy, max_tokens=length)

    def _judging(self, row: Row) -> Example:
        short = self._rng.random() < self._settings.short_share
        length = self._settings.short_text if short else None
        varied = vary(row, self._exchanges, self._rng)
        return self._encoder.example(varied, source=self._noisy, max_text=length)

    def _batches(self, examples: list[Example], *, reading: bool) -> Iterator[Batch]:
        groups = list(cut_batches(examples, self._settings.batch_tokens, self._rng))
        self._rng.shuffle(groups)
        return (self._batch(group, reading) for group in groups)

    def _batch(self, examples: list[Example], reading: bool) -> Batch:
        dropped: frozenset[str] = frozenset()
        if self._rng.random() < self._settings.fewer_categories:
            dropped = self._unused_categories(examples)
        prefix = torch.tensor(self._encoder.prefix(examples[0].row.role, dropped))
        ids = pad([e.ids for e in examples], self._encoder.control("finetune_right_pad_id"))
        lessons = tuple(self._lessons.by_id[example.row.id] for example in examples)
        inputs = self._with_noise(ids, examples)
        return Batch(prefix[:2] if reading else prefix, ids, inputs, tuple(examples), lessons)

    def _with_noise(self, ids: Tensor, examples: list[Example]) -> Tensor:
        inputs = ids.clone()
        for row, example in enumerate(examples):
            num_noisy = int(example.num_text * self._settings.token_noise * self._rng.random() * 2)
            for _ in range(num_noisy):
                at = self._rng.randrange(2, max(3, example.num_text))
                inputs[row, at] = self._rng.randrange(VOCABULARY - 8)
        return inputs

    def _unused_categories(self, examples: list[Example]) -> frozenset[str]:
        used = {code for example in examples for code in example.row.categories}
        free = [f"S{n}" for n in range(1, 15) if f"S{n}" not in used]
        return frozenset(self._rng.sample(free, self._rng.randint(0, min(6, len(free)))))


def _parts(rows: list[Row], size: int) -> Iterator[list[Row]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


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
        longest = 0
        for example in mine:
            longest = max(longest, len(example.ids))
            if group and longest * (len(group) + 1) > max_tokens:
                yield group
                group, longest = [], len(example.ids)
            group.append(example)
        if group:
            yield group


def pad(rows: list[tuple[int, ...]], filler: int) -> Tensor:
    width = -(-max(len(row) for row in rows) // 16) * 16
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])
