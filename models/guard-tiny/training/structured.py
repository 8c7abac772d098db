"""Trains guard-tiny from a structured start: the recipe of the shipped weights.

    python models/guard-tiny/training/structured.py --data DIR --tokenizer models/guard-tiny \\
        --out models/guard-tiny --cache FILE --minutes 15

The network starts as a linear classifier over tokens (`structure.py`, `linear.py`), and is then
taught labels mixed with what TF-IDF says of rows that it was not fitted on (`distil.py`).
"""

import argparse
import pickle
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import network
from calibrate import Calibration
from distil import distil
from encoding import Encoder
from evaluate import figures
from feed import Batch, Feed, cut_batches, pad
from linear import fit_evidence
from losses import category_loss, verdict_loss
from rows import Row, Split, split_rows
from settings import Settings
from structure import build_structure
from teacher import Lessons
from tokenizers import Tokenizer
from train import build_model, endless, read_contrast, save, schedule
from transformers import LlamaForCausalLM


def dense_loss(model: LlamaForCausalLM, states: Tensor, batch: Batch, encoder: Encoder) -> Tensor:
    """The verdict's margin at three places in the second half of the judged turn."""
    row, at = [], []
    for index, e in enumerate(batch.examples):
        half = e.judged_from + max(3, (e.num_text - e.judged_from) // 2)
        if half < e.num_text:
            row += [index] * 3
            at += np.random.randint(half, e.num_text, 3).tolist()
    if not row:
        return states.new_zeros(())
    safe, unsafe = encoder.verdicts
    gap = model.lm_head.weight[unsafe] - model.lm_head.weight[safe]
    margin = states[torch.tensor(row), torch.tensor(at)].float() @ gap
    score = torch.tensor([lesson.unsafe_score for lesson in batch.lessons])[torch.tensor(row)]
    return F.binary_cross_entropy_with_logits(margin, score)


@torch.inference_mode()
def fast_margins(
    model: LlamaForCausalLM, encoder: Encoder, rows: list[Row]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Margins, label masses and verdict states of rows, with a shared prefix."""
    places = {id(row): index for index, row in enumerate(rows)}
    examples = [encoder.example(row) for row in rows]
    margin, mass = np.zeros(len(rows)), np.zeros(len(rows))
    states = np.zeros((len(rows), model.config.hidden_size), np.float32)
    for group in cut_batches(examples, 6000, random.Random(1)):
        prefix = torch.tensor(encoder.prefix(group[0].row.role))
        ids = pad([e.ids[: e.verdict_at + 1] for e in group], 0)
        last = torch.tensor([e.verdict_at for e in group])
        hidden = network.hidden_states(model, prefix, ids)[-1][torch.arange(len(group)), last]
        logs = F.log_softmax(model.lm_head(hidden).float(), -1)[:, list(encoder.verdicts)]
        for e, pair, state in zip(group, logs, hidden, strict=True):
            index = places[id(e.row)]
            margin[index] = float(pair[1] - pair[0])
            mass[index] = float(pair.exp().sum())
            states[index] = state.numpy()
    return margin, mass, states


def report(model: LlamaForCausalLM, encoder: Encoder, groups: dict[str, list[Row]]) -> None:
    cells = []
    for name, rows in groups.items():
        margin, mass, _ = fast_margins(model, encoder, rows)
        found = figures(np.array([r.unsafe for r in rows]), 1 / (1 + np.exp(-margin)))
        cells.append(f"{name} [{found.cells()}] mass {mass.min():.3f}")
    print("   ", " ; ".join(cells), flush=True)


def eval_groups(split: Split) -> dict[str, list[Row]]:
    pooled = [row for rows in split.held_out.values() for row in rows]
    return {
        "val": list(split.validation),
        "prompts": [row for row in pooled if row.role == "user"],
        "replies": [row for row in pooled if row.role != "user"],
    }


@torch.no_grad()
def calibrate(
    model: LlamaForCausalLM, encoder: Encoder, rows: list[Row], max_false_alarms: float
) -> Calibration:
    """The shift with the best F1 on validation among those with rare false alarms."""
    margin, _, hidden = fast_margins(model, encoder, rows)
    unsafe = np.array([row.unsafe for row in rows])
    best = (-1.0, 0.0)
    for edge in np.linspace(-3, 3, 121):
        if (margin[~unsafe] > edge).mean() <= max_false_alarms:
            best = max(best, (figures(unsafe, (margin > edge).astype(float)).f1, -edge))
    shift = best[1]
    safe_id, unsafe_id = encoder.verdicts
    weight = model.lm_head.weight
    ridge = hidden.T @ hidden + 1e-3 * len(hidden) * np.eye(hidden.shape[1])
    ones = torch.from_numpy(np.linalg.solve(ridge, hidden.sum(0)).astype(np.float32))
    weight[unsafe_id] += shift * ones / 2
    weight[safe_id] -= shift * ones / 2
    return Calibration(1.0, shift)


def parsed_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="file that keeps the lessons")
    parser.add_argument("--minutes", type=float, default=14)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--label-share", type=float, default=0.5)
    parser.add_argument("--alpha", type=float, default=0.4)
    parser.add_argument("--strength", type=float, default=30.0)
    parser.add_argument("--max-false-alarms", type=float, default=0.03)
    return parser.parse_args()


def lessons_of(split: Split, options: argparse.Namespace, seed: int) -> Lessons:
    """Soft targets of all training rows and made ones; slow, so kept in a file."""
    if options.cache.exists():
        kept: Lessons = pickle.loads(options.cache.read_bytes())
        return kept
    lessons, _ = distil(split.train, [], seed=seed, label_share=options.label_share)
    options.cache.write_bytes(pickle.dumps(lessons))
    return lessons


def structured_start(
    split: Split,
    lessons: Lessons,
    encoder: Encoder,
    settings: Settings,
    options: argparse.Namespace,
) -> LlamaForCausalLM:
    rows = [*split.train, *lessons.made]
    soft = np.array([lessons.by_id[row.id].unsafe_score for row in rows])
    evidence = fit_evidence(rows, soft, encoder, alpha=options.alpha, strength=options.strength)
    model = build_model(settings, encoder)
    build_structure(model, encoder, evidence, settings.seed)
    return model


def optimiser_of(model: LlamaForCausalLM, settings: Settings) -> torch.optim.Optimizer:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": 0.02},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)


def loss_of(model: LlamaForCausalLM, batch: Batch, encoder: Encoder, settings: Settings) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        states = network.hidden_states(model, batch.prefix, batch.inputs)
    loss = verdict_loss(model, states[-1], batch, encoder, settings)
    loss = loss + 0.3 * category_loss(model, states[-1], batch)
    return loss + 0.15 * dense_loss(model, states[-1], batch, encoder)


def fit(
    model: LlamaForCausalLM, feed: Feed, encoder: Encoder, settings: Settings, minutes: float
) -> LlamaForCausalLM:
    """Trains for so many minutes and returns the model with averaged weights."""
    optimiser = optimiser_of(model.train(), settings)
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(settings.averaging)
    averaged = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=average)
    began, recent = time.monotonic(), []
    for number, batch in enumerate(endless(feed.judging), 1):
        progress = (time.monotonic() - began) / (60 * minutes)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(progress, 0.05)
        loss = loss_of(model, batch, encoder, settings)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        averaged.update_parameters(model)
        recent.append(loss.item())
        if number % 50 == 0:
            print(f"{number} {time.monotonic() - began:.0f}s {np.mean(recent):.3f}", flush=True)
            recent = []
    return averaged.module.eval()


def main() -> None:
    options = parsed_options()
    settings = Settings(
        learning_rate=options.learning_rate,
        batch_tokens=4000,
        averaging=0.995,
        smoothing=0.01,
        num_made=9000,
    )
    torch.set_num_threads(settings.threads)
    split = split_rows(options.data, read_contrast(options.out), seed=settings.seed)
    tokenizer = Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
    encoder = Encoder(tokenizer, settings.context)
    lessons = lessons_of(split, options, settings.seed)
    model = structured_start(split, lessons, encoder, settings, options)
    report(model, encoder, eval_groups(split))
    network.layer_step = torch.compile(network.layer_step, dynamic=True)
    feed = Feed(split.train, lessons, encoder, settings)
    model = fit(model, feed, encoder, settings, options.minutes)
    print(calibrate(model, encoder, list(split.validation), options.max_false_alarms))
    save(model, encoder, options.out, settings)
    report(model, encoder, eval_groups(split))


if __name__ == "__main__":
    main()
