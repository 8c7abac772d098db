"""Puts the service's threshold of 0.5 where it belongs, by changing two rows of the output layer.

Nothing else of the network changes: the rows of `safe` and `unsafe` move along a direction that
measures 1 on the verdict states of a role and 0 on the other's, so it acts as a bias of the role.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from encoding import Encoder
from reading import read
from rows import Message, Row
from sklearn.metrics import f1_score
from transformers import LlamaForCausalLM

LIFT = 12.0  # of both labels' logits
EDGES = np.linspace(-3, 3, 121)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The states that predict the verdicts of some rows, [N, hidden]."""

    hidden: np.ndarray
    unsafe: np.ndarray
    roles: np.ndarray


def verdicts_of(model: LlamaForCausalLM, encoder: Encoder, rows: list[Row]) -> Verdicts:
    hidden = np.stack([reading.hidden for reading in read(model, encoder, rows)])
    unsafe, roles = zip(*((row.unsafe, row.role) for row in rows), strict=True)
    return Verdicts(hidden, np.array(unsafe), np.array(roles))


@torch.no_grad()
def bake_shifts(
    model: LlamaForCausalLM, encoder: Encoder, rows: list[Row], *, max_false_alarms: float
) -> dict[str, float]:
    """Each role's shift of the margin: the best F1 among those with rare false alarms."""
    found = verdicts_of(model, encoder, rows)
    safe_id, unsafe_id = encoder.verdicts
    weight = model.lm_head.weight
    margin = found.hidden @ (weight[unsafe_id] - weight[safe_id]).numpy()
    shifts = {}
    for role in np.unique(found.roles).tolist():
        is_role = found.roles == role
        edge = best_edge(margin[is_role], found.unsafe[is_role], max_false_alarms)
        constant = _direction(found.hidden, is_role.astype(float))
        weight[unsafe_id] -= edge * constant / 2
        weight[safe_id] += edge * constant / 2
        shifts[role] = -edge
    return shifts


def best_edge(margin: np.ndarray, unsafe: np.ndarray, max_false_alarms: float) -> float:
    allowed = [edge for edge in EDGES if (margin[~unsafe] > edge).mean() <= max_false_alarms]
    return float(max(allowed, key=lambda edge: f1_score(unsafe, margin > edge)))


@torch.no_grad()
def raise_labels(model: LlamaForCausalLM, encoder: Encoder, rows: list[Row]) -> None:
    """Lifts both labels where the verdict stands, so that nothing else is likely there.

    Repeated words can push the category numbers up; the margin between the labels stays.
    """
    rng = random.Random(3)
    rows = rng.sample(rows, 500) + repeated_words(rows, rng)
    verdicts = verdicts_of(model, encoder, rows).hidden
    others = answer_states(model, encoder, rng.sample(rows, 150), rng)
    wanted = np.r_[np.ones(len(verdicts)), np.zeros(len(others))]
    direction = _direction(np.concatenate([verdicts, others]), wanted)
    for label in encoder.verdicts:
        model.lm_head.weight[label] += LIFT * direction


def _direction(states: np.ndarray, wanted: np.ndarray) -> torch.Tensor:
    """Ridge regression from states to what they should measure."""
    ridge = states.T @ states + 1e-4 * len(states) * np.eye(states.shape[1])
    return torch.from_numpy(np.linalg.solve(ridge, states.T @ wanted).astype(np.float32))


def repeated_words(rows: list[Row], rng: random.Random) -> list[Row]:
    words = sorted({word for row in rows for word in row.judged.lower().split() if word.isalpha()})
    texts = [(word + " ") * times for word in rng.sample(words, 40) for times in (20, 300)]
    prompts = [(Message("user", text),) for text in texts]
    replies = [(Message("user", "hi"), Message("assistant", text)) for text in texts[::2]]
    return [Row("", messages, False, (), "odd") for messages in (*prompts, *replies)]


def answer_states(
    model: LlamaForCausalLM, encoder: Encoder, rows: list[Row], rng: random.Random
) -> np.ndarray:
    """States behind `unsafe`, newline, `S`, a number and `,S`, where nothing may change."""
    draft = [encoder.verdicts[1], *(encoder.word(text) for text in ("\n", "S"))]
    states = []
    for row in rows:
        number = encoder.word(str(rng.randint(1, 14)))
        prompt = [*encoder.prompt(row), *draft, number, encoder.word(",S")]
        states.append(model.model(torch.tensor([prompt])).last_hidden_state[0, -5:].numpy())
    return np.concatenate(states)
