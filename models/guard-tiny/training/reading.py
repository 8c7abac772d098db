"""Reads verdicts off a model with whole prompts, as the service does."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from encoding import Encoder
from rows import Row
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaForCausalLM

MAX_TOKENS = 16_384


@dataclass(frozen=True, slots=True)
class Reading:
    score: float
    label_mass: float
    hidden: np.ndarray


def load(folder: Path) -> tuple[LlamaForCausalLM, Encoder]:
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return model.eval(), Encoder(tokenizer, model.config.max_position_embeddings)


@torch.inference_mode()
def read(model: LlamaForCausalLM, encoder: Encoder, rows: list[Row]) -> list[Reading]:
    """One reading for each row, from the position that predicts the verdict."""
    prompts = [encoder.prompt(row) for row in rows]
    readings: dict[int, Reading] = {}
    order = sorted(range(len(rows)), key=lambda index: len(prompts[index]))
    while order:
        size = max(1, MAX_TOKENS // len(prompts[order[-1]]))
        chosen, order = order[-size:], order[:-size]
        found = _read_batch(model, encoder, [prompts[index] for index in chosen])
        readings.update(zip(chosen, found, strict=True))
    return [readings[index] for index in range(len(rows))]


def _read_batch(
    model: LlamaForCausalLM, encoder: Encoder, prompts: list[list[int]]
) -> Iterable[Reading]:
    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([prompt + [0] * (width - len(prompt)) for prompt in prompts])
    last = torch.tensor([len(prompt) - 1 for prompt in prompts])
    # Padding stands behind the causal mask, so no attention mask is needed.
    hidden = model.model(input_ids=ids).last_hidden_state[torch.arange(len(last)), last]
    shares = torch.softmax(model.lm_head(hidden).float(), dim=-1)[:, list(encoder.verdicts)]
    for pair, state in zip(shares, hidden.float(), strict=True):
        mass = float(pair.sum())
        yield Reading(float(pair[1]) / mass, mass, state.numpy())
