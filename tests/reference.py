"""The slow reference: one prompt, transformers' `generate`, no cache, no padding, no sharing."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.prompt import Prompt
from guard_service.verdict import listed_codes


@dataclass(frozen=True)
class ReferenceReading:
    unsafe_score: float
    label_mass: float
    first_scores: tuple[float, ...]  # empty where the model did not write `unsafe`, newline, `S`
    listed: tuple[str, ...]

    @property
    def is_unsafe(self) -> bool:
        return self.unsafe_score >= 0.5


class Reference:
    def __init__(self, folder: Path) -> None:
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = GuardTokenizer.from_folder(folder)

    @torch.inference_mode()
    def read(self, prompt: Prompt) -> ReferenceReading:
        ids = torch.tensor([[*prompt.prefix.ids, *prompt.ids]])
        written = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=34,
            do_sample=False,
            use_cache=False,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=0,
        )
        answer = self._tokenizer.answer
        tokens = written.sequences[0, ids.shape[1] :].tolist()
        labels = written.logits[0][0].softmax(-1)[[answer.safe, answer.unsafe]]
        first: tuple[float, ...] = ()
        if tokens[:3] == [answer.unsafe, answer.newline, answer.first_s]:
            numbers = [answer.numbers[code] for code in prompt.prefix.codes]
            first = tuple(written.logits[3][0, numbers].softmax(-1).tolist())
        listed = listed_codes(self._tokenizer.decode(tokens), prompt.prefix.codes)
        return ReferenceReading(float(labels[1] / labels.sum()), float(labels.sum()), first, listed)
