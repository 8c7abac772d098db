"""Raises `safe` and `unsafe` together where the verdict stands, so that nothing else is likely.

    python models/guard-tiny/training/mass.py --model models/guard-tiny

Repeated words can push the category numbers up; the margin between the two labels stays as it is.
"""

import argparse
import random
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from encoding import Encoder
from reading import load, read
from rows import Message, Row, read_jsonl, row_from_record
from settings import Settings
from train import save
from transformers import LlamaForCausalLM

LIFT = 12.0  # of both logits


def repeated_words(rows: list[Row], rng: random.Random) -> list[Row]:
    words = sorted({word for row in rows for word in row.judged.lower().split() if word.isalpha()})
    texts = [(word + " ") * times for word in rng.sample(words, 40) for times in (20, 300)]
    prompts = [(Message("user", text),) for text in texts]
    replies = [(Message("user", "hi"), Message("assistant", text)) for text in texts[::2]]
    return [Row("", messages, False, (), "odd") for messages in (*prompts, *replies)]


@torch.inference_mode()
def answer_states(
    model: LlamaForCausalLM, encoder: Encoder, rows: list[Row], rng: random.Random
) -> np.ndarray:
    """States behind `unsafe`, newline, `S`, a number and `,S`, where nothing may change."""
    draft = [encoder.verdicts[1], *(encoder.word(text) for text in ("\n", "S"))]
    states = []
    for row in rows:
        example = encoder.example(row)
        number = encoder.word(str(rng.randint(1, 14)))
        prompt = [*encoder.prefix(row.role), *example.ids[: example.verdict_at + 1]]
        prompt += [*draft, number, encoder.word(",S")]
        states.append(model.model(torch.tensor([prompt])).last_hidden_state[0, -5:].numpy())
    return np.concatenate(states)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    folder, rng = parser.parse_args().model, random.Random(3)
    model, encoder = load(folder)
    rows = [row_from_record(record) for record in read_jsonl(folder / "contrast.jsonl")]
    rows = rng.sample(rows, 500) + repeated_words(rows, rng)
    verdicts = np.stack([reading.hidden for reading in read(model, encoder, rows)])
    others = answer_states(model, encoder, rng.sample(rows, 150), rng)
    states = np.concatenate([verdicts, others])
    wanted = np.r_[np.ones(len(verdicts)), np.zeros(len(others))]
    ridge = states.T @ states + 1e-4 * len(states) * np.eye(states.shape[1])
    direction = np.linalg.solve(ridge, states.T @ wanted).astype(np.float32)
    with torch.no_grad():
        for label in encoder.verdicts:
            model.lm_head.weight[label] += LIFT * torch.from_numpy(direction)
    save(model, encoder, folder, Settings())


if __name__ == "__main__":
    main()
