"""The rest of an unsafe answer: the model's own list of categories, by short passes for all rows.

Only prompts that want a list come here, so safe traffic never decodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from guard_service.engine.llama import Llama
from guard_service.engine.packing import Segment, to_device
from guard_service.engine.tokenizer import ANSWER_TOKENS, GuardTokenizer
from guard_service.verdict import listed_codes


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer under way, and the keys and values of all before its last tokens."""

    codes: tuple[str, ...]  # on offer
    pasts: tuple[Tensor, ...]
    listed: tuple[str, ...] = ()
    written: tuple[int, ...] = ()

    @property
    def is_full(self) -> bool:
        return len(self.listed) == len(self.codes)


class Lister:
    def __init__(self, llama: Llama, tokenizer: GuardTokenizer, ends: frozenset[int]) -> None:
        self.num_passes = 0
        self._llama = llama
        self._tokenizer = tokenizer
        self._ends = ends
        self._answer = tokenizer.answer
        self._numbers = torch.tensor(list(self._answer.numbers.values()), device=llama.device)
        self._codes = tuple(self._answer.numbers)

    def extend(self, drafts: Sequence[Draft]) -> list[tuple[str, ...]]:
        """Greedy lists behind each draft's first code: two forced tokens per further category."""
        whole = list(drafts)
        is_open = [not draft.is_full for draft in whole]
        while any(is_open):
            places = [place for place, is_on in enumerate(is_open) if is_on]
            for place, draft in zip(places, self._extend([whole[p] for p in places]), strict=True):
                is_open[place] = len(draft.listed) > len(whole[place].listed) and not draft.is_full
                whole[place] = draft
        return [draft.listed for draft in whole]

    def write(self, drafts: Sequence[Draft]) -> list[tuple[str, ...]]:
        """The list as plain greedy decoding writes it behind `written`, a token a pass."""
        whole = list(drafts)
        for _ in range(ANSWER_TOKENS):
            places = [p for p, draft in enumerate(whole) if draft.written[-1] not in self._ends]
            if not places:
                break
            for place, draft in zip(places, self._write([whole[p] for p in places]), strict=True):
                whole[place] = draft
        texts = [self._tokenizer.decode(draft.written) for draft in whole]
        return [listed_codes(text, draft.codes) for text, draft in zip(texts, whole, strict=True)]

    def _extend(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Each draft one code longer, or the same where the model ends it."""
        numbers, next_s = self._answer.numbers, self._answer.next_s
        ids = [(numbers[draft.listed[-1]], next_s) for draft in drafts]
        logits, pasts = self._pass(drafts, ids, num_read=2)
        left = [[c in d.codes and c not in d.listed for c in self._codes] for d in drafts]
        is_left = to_device(torch.tensor(left), logits.device)
        scores = logits[:, 1, self._numbers].masked_fill(~is_left, -torch.inf)
        goes_on = logits[:, 0].argmax(-1) == next_s
        chosen = torch.where(goes_on, scores.argmax(-1), -1).tolist()
        return [
            replace(draft, pasts=(*draft.pasts, past), listed=(*draft.listed, self._codes[number]))
            if number >= 0
            else draft
            for draft, past, number in zip(drafts, pasts, chosen, strict=True)
        ]

    def _write(self, drafts: Sequence[Draft]) -> list[Draft]:
        logits, pasts = self._pass(drafts, [draft.written[-1:] for draft in drafts], num_read=1)
        return [
            replace(draft, pasts=(*draft.pasts, past), written=(*draft.written, token))
            for draft, past, token in zip(
                drafts, pasts, logits[:, 0].argmax(-1).tolist(), strict=True
            )
        ]

    def _pass(
        self, drafts: Sequence[Draft], ids: Sequence[tuple[int, ...]], num_read: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits [drafts, num_read, vocabulary] behind `ids`, and the keys and values of these."""
        self.num_passes += 1
        segments = [Segment(i, d.pasts, num_read) for i, d in zip(ids, drafts, strict=True)]
        passed = self._llama.forward(segments)
        pasts = [passed.keep(number) for number in range(len(segments))]
        return passed.logits.view(len(segments), num_read, -1), pasts
