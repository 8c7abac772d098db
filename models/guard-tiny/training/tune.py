"""Tunes a sentence encoder on labelled rows and reads texts with it."""

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from encoders import ROLES, Judge
from rows import Row
from torch import Tensor

EPOCHS = 2
BATCH_TOKENS = 4096
HEAD_RATE = 1e-3
SMOOTHING = 0.03


@dataclass(frozen=True, slots=True)
class TextBatch:
    index: list[int]
    ids: Tensor
    mask: Tensor
    role: Tensor


def text_batches(judge: Judge, rows: list[Row], rng: random.Random | None) -> Iterator[TextBatch]:
    """All rows in batches of similar length, in random order where there is an `rng`."""
    ids = judge.encoder.ids([row.judged for row in rows])
    noise = rng.uniform if rng else lambda low, high: 1.0
    order = sorted(range(len(rows)), key=lambda i: len(ids[i]) * noise(0.8, 1.2))
    groups: list[list[int]] = [[]]
    longest = 0
    for i in order:
        longest = max(longest, len(ids[i]))
        if longest * (len(groups[-1]) + 1) > BATCH_TOKENS:
            groups.append([])
            longest = len(ids[i])
        groups[-1].append(i)
    if rng:
        rng.shuffle(groups)
    for group in groups:
        width = max(len(ids[i]) for i in group)
        yield TextBatch(
            group,
            torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in group]),
            torch.tensor([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in group]),
            torch.tensor([ROLES.index(rows[i].role) for i in group]),
        )


def tune(judge: Judge, rows: list[Row], *, rate: float, seed: int) -> Judge:
    rng = random.Random(seed)
    torch.manual_seed(seed)
    body = [p for p in judge.encoder.parameters() if p.requires_grad]
    groups = [
        {"params": body, "lr": rate},
        {"params": judge.head.parameters(), "lr": HEAD_RATE},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    epochs = [list(text_batches(judge, rows, rng)) for _ in range(EPOCHS)]
    num_steps = sum(map(len, epochs))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(1.0, step / 50) * 0.5 * (1 + math.cos(math.pi * step / num_steps)),
    )
    judge.train()
    began, recent = time.monotonic(), []
    for number, batch in enumerate((b for epoch in epochs for b in epoch), 1):
        wanted = torch.tensor([float(rows[i].unsafe) for i in batch.index])
        margins = judge(batch.ids, batch.mask, batch.role)
        loss = F.binary_cross_entropy_with_logits(margins, SMOOTHING + (1 - 2 * SMOOTHING) * wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        schedule.step()
        recent.append(loss.item())
        if number % 50 == 0:
            print(
                f"  {number}/{num_steps} {time.monotonic() - began:.0f}s {np.mean(recent):.3f}",
                flush=True,
            )
            recent = []
    return judge.eval()


@torch.inference_mode()
def read_margins(judge: Judge, rows: list[Row]) -> np.ndarray:
    """Margins of unsafe over safe of the judged texts, [N]."""
    margins = np.zeros(len(rows), np.float32)
    for batch in text_batches(judge, rows, None):
        margins[batch.index] = judge(batch.ids, batch.mask, batch.role).numpy()
    return margins
