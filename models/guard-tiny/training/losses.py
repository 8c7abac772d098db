"""What the student is corrected for: verdict, categories, language, the teacher's view."""

from dataclasses import dataclass

import network
import numpy as np
import torch
import torch.nn.functional as F
from encoding import Encoder
from feed import Batch
from settings import Settings
from torch import Tensor
from transformers import LlamaForCausalLM


class Heads(torch.nn.Module):
    """Outputs that exist in training alone: the teacher's vector and its P(unsafe)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.vector = torch.nn.Linear(hidden, 384)
        self.hint = torch.nn.Linear(hidden, 2)


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
        wanted = [lesson.vector for lesson in batch.lessons if lesson.vector is not None]
        vectors = torch.from_numpy(np.stack(wanted))
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
