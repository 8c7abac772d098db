"""The slow reference: one prompt, plain forward passes, no cache, no padding, no sharing."""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.prompt import Prompt
from guard_service.verdict import listed_codes


@dataclass(frozen=True)
class ReferenceReading:
    unsafe_score: float
    label_mass: float
    first_scores: tuple[float, ...]  # empty where the model would not write `unsafe`, newline, `S`
    listed: tuple[str, ...]  # greedy among the codes on offer, none twice
    written: str  # what the model writes when it may write anything

    @property
    def is_unsafe(self) -> bool:
        return self.unsafe_score >= 0.5


class Reference:
    def __init__(self, folder: Path) -> None:
        self.model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32
        ).eval()
        self._tokenizer = GuardTokenizer.from_folder(folder)

    @torch.inference_mode()
    def read(self, prompt: Prompt) -> ReferenceReading:
        ids, codes = [*prompt.prefix.ids, *prompt.ids], prompt.prefix.codes
        answer = self._tokenizer.answer
        tokens, logits = self._generate(ids)
        labels = logits[0].softmax(-1)[[answer.safe, answer.unsafe]]
        written = self._tokenizer.decode(tokens)
        first, listed = torch.empty(0), listed_codes(written, codes)
        if tokens[:3] == [answer.unsafe, answer.newline, answer.first_s]:
            first = logits[3][[answer.numbers[code] for code in codes]].softmax(-1)
            listed = self._list(ids + tokens[:3], codes)
        score = float(labels[1] / labels.sum())
        return ReferenceReading(score, float(labels.sum()), tuple(first.tolist()), listed, written)

    def _next(self, ids: list[int]) -> torch.Tensor:
        logits: torch.Tensor = self.model(torch.tensor([ids])).logits[0, -1]
        return logits

    def _generate(self, ids: list[int]) -> tuple[list[int], list[torch.Tensor]]:
        """What transformers' own greedy `generate` writes, and its logits at each token."""
        prompt = torch.tensor([ids])
        written = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=34,
            do_sample=False,
            use_cache=False,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=0,
        )
        return written.sequences[0, len(ids) :].tolist(), [step[0] for step in written.logits]

    def _list(self, ids: list[int], codes: tuple[str, ...]) -> tuple[str, ...]:
        """One token after the other: the likeliest number left, then `,S` or the end."""
        answer, listed = self._tokenizer.answer, list[str]()
        while len(listed) < len(codes):
            logits = self._next(ids)
            left = [code for code in codes if code not in listed]
            listed.append(max(left, key=lambda code: float(logits[answer.numbers[code]])))
            ids = [*ids, answer.numbers[listed[-1]]]
            if int(self._next(ids).argmax()) != answer.next_s:
                break
            ids = [*ids, answer.next_s]
        return tuple(listed)
