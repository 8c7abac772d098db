"""What the student is corrected for: verdict, categories, the teachers' view of the text."""

from dataclasses import dataclass

import network
import numpy as np
import torch
import torch.nn.functional as F
from encoders import MiniLM, UniversalSentenceEncoder
from encoding import Encoder
from feed import Batch
from settings import Settings
from torch import Tensor
from transformers import LlamaForCausalLM

VIEW_WIDTHS = (UniversalSentenceEncoder.width, MiniLM.width)  # of a lesson's two vectors


@dataclass(frozen=True, slots=True)
class Student:
    """The model and, for training alone, a map from its states to the teachers' vectors."""

    model: LlamaForCausalLM
    view: torch.nn.Linear
    encoder: Encoder
    settings: Settings

    def loss(self, batch: Batch) -> Tensor:
        settings = self.settings
        with torch.autocast("cpu", torch.bfloat16):
            states = network.hidden_states(self.model, batch.prefix, batch.inputs)
        loss = verdict_loss(self.model, states[-1], batch, self.encoder, settings)
        loss = loss + settings.vector_weight * vector_loss(self.view, states[-2], batch)
        return loss + settings.category_weight * category_loss(self.model, states[-1], batch)


def vector_loss(view: torch.nn.Linear, states: Tensor, batch: Batch) -> Tensor:
    """Matches the mean state of the judged turn with the teachers' vectors.

    Taken one layer below the top, so that the top layer can read it from the verdict's place.
    """
    at = torch.arange(states.shape[1])[None]
    start = torch.tensor([e.judged_from for e in batch.examples])[:, None]
    end = torch.tensor([e.num_text for e in batch.examples])[:, None]
    inside = ((at >= start) & (at < end)).unsqueeze(-1)
    mean = (states.float() * inside).sum(1) / inside.sum(1)
    seen = view(F.rms_norm(mean, mean.shape[-1:]))
    loss = seen.new_zeros(())
    for name, part in zip(("wide", "close"), seen.split(list(VIEW_WIDTHS), -1), strict=True):
        vectors = [getattr(lesson, name) for lesson in batch.lessons]
        known = [index for index, vector in enumerate(vectors) if vector is not None]
        if known:
            wanted = torch.from_numpy(np.stack([vectors[i] for i in known])).float()
            loss = loss + (1 - F.cosine_similarity(part[known], wanted, dim=-1)).sum() / len(
                vectors
            )
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
    row, at = torch.tensor(places).unbind(1)
    logits = model.lm_head(states[row, at])
    return F.cross_entropy(logits.float(), batch.ids[row, at + 1])
