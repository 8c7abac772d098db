"""The rest of an unsafe answer: the model's own list of categories, by two tokens for each.

A draft's tokens ride in the next pass that goes through the model anyway; where none is near they
go alone, in short passes. Only prompts that want a list come here: safe traffic never decodes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from guard_service.encoding.tokenizer import ANSWER_TOKENS, GuardTokenizer
from guard_service.engine.head import Head
from guard_service.engine.packing import Segment, to_device
from guard_service.verdict import Reading, listed_codes

# A prompt's key and what was read of it.
Read = tuple[int, Reading]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """An answer under way, and the keys and values of all before its last tokens."""

    key: int
    reading: Reading  # without the list
    codes: tuple[str, ...]  # on offer
    pasts: tuple[Tensor, ...]
    listed: tuple[str, ...] = ()
    written: tuple[int, ...] = ()  # instead, where the model does not answer as it should


class Lister:
    """Takes drafts, gives segments for a pass, and makes readings of what the pass predicts."""

    def __init__(self, tokenizer: GuardTokenizer, ends: frozenset[int], head: Head) -> None:
        self._tokenizer = tokenizer
        self._ends = ends
        self._head = head
        self._answer = tokenizer.answer
        self._codes = tuple(self._answer.numbers)
        self._waiting: list[Draft] = []

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def settle(self, drafts: Sequence[Draft]) -> list[Read]:
        """Readings of the drafts that are finished; the others wait for a pass."""
        self._waiting += (draft for draft in drafts if not self._is_finished(draft))
        return [(d.key, self._finish(d)) for d in drafts if self._is_finished(d)]

    def board(self) -> tuple[Draft, ...]:
        """Those that wait, in the order in which their rows are read."""
        return tuple(sorted(self._waiting, key=lambda draft: bool(draft.written)))

    def leave(self, boarded: Sequence[Draft]) -> None:
        """Their pass was launched: they wait no longer."""
        self._waiting = [draft for draft in self._waiting if draft not in boarded]

    def segment(self, draft: Draft) -> Segment:
        """A category's number and what goes before the next, or the last token written."""
        if draft.written:
            return Segment(draft.written[-1:], draft.pasts, num_read=1)
        number = self._answer.numbers[draft.listed[-1]]
        return Segment((number, self._answer.next_s), draft.pasts, num_read=2)

    def pick(self, drafts: Sequence[Draft], rows: Tensor) -> Tensor:
        """[drafts]: the place of the next code, -1 where the list ends, or the next token."""
        if not drafts:
            return torch.empty(0, dtype=torch.long)
        listing = [draft for draft in drafts if not draft.written]
        after, before = rows[: 2 * len(listing) : 2], rows[1 : 2 * len(listing) : 2]
        left = [[c in d.codes and c not in d.listed for c in self._codes] for d in listing]
        is_left = torch.tensor(left, dtype=torch.bool).view(len(listing), len(self._codes))
        scores = self._head.numbers(before)
        scores = scores.masked_fill(~to_device(is_left, scores.device), -torch.inf)
        # What follows a number says whether the list goes on.
        likeliest = self._head.likeliest(torch.cat([after, rows[2 * len(listing) :]]))
        goes_on = likeliest[: len(listing)] == self._answer.next_s
        codes = torch.where(goes_on, scores.argmax(-1), -1)
        return torch.cat([codes, likeliest[len(listing) :]])

    def advance(
        self, drafts: Sequence[Draft], picks: Sequence[int], keep: Callable[[int], Tensor]
    ) -> list[Read]:
        """Readings of the drafts that a pass finished; `keep` gives what it computed of each."""
        ended = [d for d, pick in zip(drafts, picks, strict=True) if pick < 0]
        going = [
            self._extend(draft, pick, keep(number))
            for number, (draft, pick) in enumerate(zip(drafts, picks, strict=True))
            if pick >= 0
        ]
        return [(draft.key, self._finish(draft)) for draft in ended] + self.settle(going)

    def _extend(self, draft: Draft, pick: int, past: Tensor) -> Draft:
        pasts = (*draft.pasts, past)
        if draft.written:
            return replace(draft, pasts=pasts, written=(*draft.written, pick))
        return replace(draft, pasts=pasts, listed=(*draft.listed, self._codes[pick]))

    def _is_finished(self, draft: Draft) -> bool:
        if draft.written:
            return draft.written[-1] in self._ends or len(draft.written) > ANSWER_TOKENS
        return len(draft.listed) == len(draft.codes)

    def _finish(self, draft: Draft) -> Reading:
        if not draft.written:
            return replace(draft.reading, listed=draft.listed)
        text = self._tokenizer.decode(draft.written)
        return replace(draft.reading, listed=listed_codes(text, draft.codes))
