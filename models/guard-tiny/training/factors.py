"""What the network is compiled from: a factorisation machine over tokens and their neighbours.

The margin of unsafe over safe is the mean evidence of the tokens that stand in the conversation,
times a gain, plus a bias for the judged role. A token's evidence is a weight of its own, for each
role, and for each distance the inner product of its vector with that of the token so far before
it (Rendle, "Factorization Machines", 2010). Ranks are low and two epochs are enough: what a
deeper network learns besides from so few sources does not hold on the next one.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from encoding import Encoder
from rows import Row
from settings import Settings
from teacher import Lessons
from torch import Tensor, nn
from vocabulary import VOCABULARY

NUM_CATEGORIES = 14
CATEGORY_EPOCHS, CATEGORY_RATE, CATEGORY_DECAY = 10, 2e-2, 0.1


@dataclass(frozen=True, slots=True)
class Item:
    """One row as its tokens between `BEGIN CONVERSATION` and `LAST`."""

    ids: list[int]
    role: int  # 1: the assistant
    unsafe_score: float
    categories: tuple[int, ...]


class Factors(nn.Module):
    """Evidence of tokens: `alone` [V, 2], `first` and `second` [distances, V, rank].

    `categories` [V, 14] is pooled like the rest and says which category an unsafe text has.
    """

    def __init__(self, rarity: Tensor, settings: Settings) -> None:
        super().__init__()
        vectors = (len(settings.distances), VOCABULARY, settings.rank)
        self.alone = nn.Parameter(torch.zeros(VOCABULARY, 2))
        self.first = nn.Parameter(0.1 * torch.randn(vectors))
        self.second = nn.Parameter(0.1 * torch.randn(vectors))
        self.shares = nn.Parameter(0.1 * torch.randn(len(settings.distances), settings.rank))
        self.bias = nn.Parameter(torch.zeros(2))
        self.categories = nn.Parameter(torch.zeros(VOCABULARY, NUM_CATEGORIES))
        self.category_bias = nn.Parameter(torch.zeros(NUM_CATEGORIES))
        self.register_buffer("rarity", rarity)
        self.gain, self.distances = settings.gain, settings.distances
        self.smoothing = settings.smoothing

    def forward(self, ids: Tensor, inside: Tensor, role: Tensor) -> tuple[Tensor, Tensor]:
        """Margins [B] and category logits [B, 14] of `ids` [B, T]; `inside` is 0 on padding."""
        count = inside.sum(1)
        evidence = (self.alone[ids, role[:, None]] * self.rarity[ids] * inside).sum(1)
        for place, distance in enumerate(self.distances):
            pairs = self.first[place][ids[:, :-distance]] * self.second[place][ids[:, distance:]]
            evidence = evidence + (pairs * inside[:, distance:, None]).sum(1) @ self.shares[place]
        margin = self.gain * evidence / count + self.bias[role]
        weights = (self.rarity[ids] * inside)[..., None] * self.categories[ids]
        return margin, self.gain * weights.sum(1) / count[:, None] + self.category_bias

    def verdict_loss(self, batch: list[Item]) -> Tensor:
        wanted = torch.tensor([item.unsafe_score for item in batch])
        wanted = wanted.clamp(self.smoothing, 1 - self.smoothing)
        return F.binary_cross_entropy_with_logits(self(*padded(batch))[0], wanted)

    def category_loss(self, batch: list[Item]) -> Tensor:
        pairs = [(row, code) for row, item in enumerate(batch) for code in item.categories]
        row, code = torch.tensor(pairs).unbind(1)
        return F.cross_entropy(self(*padded(batch))[1][row], code)

    @torch.no_grad()
    def folded(self) -> "Folded":
        """With rarity and shares inside the tables, both sides of a product of like size."""
        scale = self.shares.abs().sqrt()[:, None]
        return Folded(
            alone=self.alone * self.rarity[:, None],
            first=self.first * scale,
            second=self.second * scale * self.shares.sign()[:, None],
            categories=self.categories * self.rarity[:, None],
            bias=self.bias.clone(),
            category_bias=self.category_bias.clone(),
        )


@dataclass(frozen=True, slots=True)
class Folded:
    alone: Tensor
    first: Tensor
    second: Tensor
    categories: Tensor
    bias: Tensor
    category_bias: Tensor

    @classmethod
    def mean(cls, fits: list["Folded"]) -> "Folded":
        """One whose margins are the mean of theirs: their vectors stand side by side."""

        def mean(name: str) -> Tensor:
            return torch.stack([getattr(fit, name) for fit in fits]).mean(0)

        def side_by_side(name: str) -> Tensor:
            return torch.cat([getattr(fit, name) for fit in fits], -1) / len(fits) ** 0.5

        return cls(
            alone=mean("alone"),
            first=side_by_side("first"),
            second=side_by_side("second"),
            categories=mean("categories"),
            bias=mean("bias"),
            category_bias=mean("category_bias"),
        )


def items_of(rows: list[Row], lessons: Lessons, encoder: Encoder, length: int) -> list[Item]:
    return [
        Item(
            encoder.pooled(row, length),
            int(row.role == "assistant"),
            lessons.scores[row.id],
            tuple(int(code[1:]) - 1 for code in row.categories if row.unsafe),
        )
        for row in rows
    ]


def rarity_of(items: list[Item]) -> Tensor:
    """Inverse document frequency, [V], about 1 for a word seen in a few hundred rows."""
    seen = np.zeros(VOCABULARY)
    for item in items:
        seen[list(set(item.ids))] += 1
    return torch.from_numpy((1 + np.log(len(items) / (1 + seen))) / 7).float()


def fit_factors(items: list[Item], settings: Settings, seed: int) -> Factors:
    """Few epochs over all items for the verdict, more over the unsafe ones for categories."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    factors = Factors(rarity_of(items), settings)
    tagged = [item for item in items if item.categories]
    verdict = [batch for _ in range(settings.epochs) for batch in batches(items, settings, rng)]
    category = [batch for _ in range(CATEGORY_EPOCHS) for batch in batches(tagged, settings, rng)]
    of_category = [factors.categories, factors.category_bias]
    of_verdict = [factors.alone, factors.first, factors.second, factors.shares, factors.bias]
    rate, decay = settings.learning_rate, settings.weight_decay
    descend(torch.optim.AdamW(of_verdict, rate, weight_decay=decay), verdict, factors.verdict_loss)
    descend(
        torch.optim.AdamW(of_category, CATEGORY_RATE, weight_decay=CATEGORY_DECAY),
        category,
        factors.category_loss,
    )
    return factors


def descend(
    optimiser: torch.optim.Optimizer,
    steps: list[list[Item]],
    loss_of: Callable[[list[Item]], Tensor],
) -> None:
    """One step for each batch, at a rate that falls to nothing."""
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=len(steps))
    for batch in steps:
        optimiser.zero_grad()
        loss_of(batch).backward()
        optimiser.step()
        schedule.step()


def batches(items: list[Item], settings: Settings, rng: random.Random) -> list[list[Item]]:
    """Items of like length together, in random order."""
    order = sorted(items, key=lambda item: len(item.ids) * rng.uniform(0.8, 1.2))
    size = settings.batch_rows
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    rng.shuffle(groups)
    return groups


def padded(batch: list[Item]) -> tuple[Tensor, Tensor, Tensor]:
    width = max(len(item.ids) for item in batch)
    ids = torch.tensor([item.ids + [0] * (width - len(item.ids)) for item in batch])
    inside = torch.tensor([[1.0] * len(i.ids) + [0.0] * (width - len(i.ids)) for i in batch])
    return ids, inside, torch.tensor([item.role for item in batch])


@torch.inference_mode()
def margins_of(factors: Factors, items: list[Item]) -> np.ndarray:
    order = sorted(range(len(items)), key=lambda index: len(items[index].ids))
    margins = np.zeros(len(items))
    for chosen in chunks(order, 128):
        margins[chosen] = factors(*padded([items[i] for i in chosen]))[0].numpy()
    return margins


def chunks(order: list[int], size: int) -> Iterator[list[int]]:
    return (order[start : start + size] for start in range(0, len(order), size))
