"""Reads prompts off the model: one pass for whole prompts and pieces of any policy and side.

Behind every prompt goes the draft `unsafe`, newline, `S`. One pass then gives, by causality, what a
plain prefill would give at the verdict token, and the distribution of the first category given
"unsafe". This is speculative decoding with a constant draft.
Knows tokens, not words, and nothing of policies beyond the codes that a prompt offers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from guard_service.engine.listing import Draft, Lister
from guard_service.engine.llama import Llama, Passed
from guard_service.engine.message import Batch, Piece
from guard_service.engine.packing import Segment, to_device
from guard_service.engine.prefix_cache import PrefixCache
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.prompt import Prefix, Prompt
from guard_service.verdict import Reading

_NUM_READ = 4  # verdict, newline, `S`, first category


@dataclass(frozen=True, slots=True)
class Ending:
    """The piece that ends a prompt, its segment in the pass, and what the pass had in front."""

    piece: Piece
    number: int
    pasts: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A pass that was launched; `scores` are on the host once `is_read` has come."""

    endings: tuple[Ending, ...]
    passed: Passed
    scores: Tensor  # [endings, 3 + numbers]: unsafe score, label mass, draft accepted, first
    is_read: torch.cuda.Event | None


class LlamaGuard:
    """Reads prompts. Not for concurrent use; batches are submitted and collected in order."""

    def __init__(self, llama: Llama, tokenizer: GuardTokenizer, ends: frozenset[int]) -> None:
        answer = tokenizer.answer
        self._llama = llama
        self._answer = answer
        self._draft = (answer.unsafe, answer.newline, answer.first_s)
        self._codes = {code: place for place, code in enumerate(answer.numbers)}
        self._labels = torch.tensor([answer.safe, answer.unsafe], device=llama.device)
        self._forced = torch.tensor(self._draft[1:], device=llama.device)
        self._numbers = torch.tensor(list(answer.numbers.values()), device=llama.device)
        llama.make_exact(torch.cat([self._labels, self._numbers]))
        self._lister = Lister(llama, tokenizer, ends)
        self._offered = lru_cache(maxsize=256)(self._find_offered)
        self._kept: dict[int, tuple[Tensor, ...]] = {}
        self.prefixes = PrefixCache(self._compute_prefix)

    @property
    def num_decode_passes(self) -> int:
        return self._lister.num_passes

    @property
    def num_kept(self) -> int:
        """Prompts of which earlier pieces wait for the next."""
        return len(self._kept)

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        """One reading for each prompt, in order, from one pass; nothing of them is kept."""
        pieces = (Piece.whole(-1, prompt) for prompt in prompts)
        return self.read_batch(Batch(tuple(pieces)))

    def read_batch(self, batch: Batch) -> list[Reading]:
        """One reading for each piece that ends a prompt, in order."""
        return self.collect(self.submit(batch))

    @torch.inference_mode()
    def submit(self, batch: Batch) -> Submitted:
        """Launch the pass; where that fails, what was kept is kept unchanged."""
        # 1) what each piece follows
        pasts = [
            (self.prefixes.get(piece.prefix), *self._kept.get(piece.key, ()))
            for piece in batch.pieces
        ]
        # 2) the pass
        segments = map(self._segment, batch.pieces, pasts)
        passed = self._llama.forward(list(segments))
        endings = tuple(
            Ending(piece, number, past)
            for number, (piece, past) in enumerate(zip(batch.pieces, pasts, strict=True))
            if piece.is_last
        )
        scores, is_read = _to_host(self._score(passed.logits, endings))
        # 3) what the next pieces follow
        self._kept |= {
            piece.key: (*pasts[number][1:], passed.keep(number))
            for number, piece in enumerate(batch.pieces)
            if not piece.is_last
        }
        ended = (ending.piece.key for ending in endings)
        for key in (*ended, *batch.forgotten):
            self._kept.pop(key, None)
        return Submitted(endings, passed, scores, is_read)

    @torch.inference_mode()
    def collect(self, submitted: Submitted) -> list[Reading]:
        """Wait for the pass, write the lists that are wanted, and give the readings."""
        if submitted.is_read is not None:
            submitted.is_read.synchronize()
        rows = submitted.scores.tolist()
        readings = [
            Reading(score, mass, tuple(first[self._codes[c]] for c in ending.piece.prefix.codes))
            for ending, (score, mass, _, *first) in zip(submitted.endings, rows, strict=True)
        ]
        return self._list(submitted, readings, [bool(row[2]) for row in rows])

    def _segment(self, piece: Piece, pasts: tuple[Tensor, ...]) -> Segment:
        if piece.is_last:
            return Segment(piece.ids + self._draft, pasts, _NUM_READ)
        return Segment(piece.ids, pasts)

    def _score(self, logits: Tensor, endings: Sequence[Ending]) -> Tensor:
        """[endings, 3 + numbers]: the few values that are read."""
        if not endings:
            return logits.new_empty(0, 3 + len(self._numbers))
        rows = logits.view(len(endings), _NUM_READ, -1)
        labels = rows[:, 0].softmax(-1)[:, self._labels]
        mass = labels.sum(-1, keepdim=True)
        accepted = (rows[:, 1:3].argmax(-1) == self._forced).all(-1, keepdim=True)
        offered = torch.stack([self._offered(e.piece.prefix.codes) for e in endings])
        first = rows[:, 3, self._numbers].where(offered, -torch.inf).softmax(-1)
        return torch.cat([labels[:, 1:] / mass, mass, accepted, first], dim=1)

    def _find_offered(self, codes: tuple[str, ...]) -> Tensor:
        """[numbers]: whether a prompt offers the code of each."""
        offered = torch.tensor([code in codes for code in self._codes])
        return to_device(offered, self._llama.device)

    def _list(
        self, submitted: Submitted, readings: Sequence[Reading], is_accepted: Sequence[bool]
    ) -> list[Reading]:
        """The readings, with the model's own lists where these are wanted."""
        wanted = [
            number
            for number, (ending, reading) in enumerate(
                zip(submitted.endings, readings, strict=True)
            )
            if reading.unsafe_score >= ending.piece.list_above
        ]
        accepted = [number for number in wanted if is_accepted[number]]
        # Where the model would not have gone on as the draft does, it is left to write by itself.
        refused = [number for number in wanted if not is_accepted[number]]
        passed, endings = submitted.passed, submitted.endings
        drafts = [_accept(passed, endings[n], readings[n]) for n in accepted]
        blanks = [_start_over(passed, endings[n], self._answer.unsafe) for n in refused]
        listed = dict(zip(accepted, self._lister.extend(drafts), strict=True))
        listed |= zip(refused, self._lister.write(blanks), strict=True)
        return [
            replace(reading, listed=listed.get(number, ()))
            for number, reading in enumerate(readings)
        ]

    def _compute_prefix(self, prefix: Prefix) -> Tensor:
        return self._llama.forward([Segment(prefix.ids)]).keep(0)


def _accept(passed: Passed, ending: Ending, reading: Reading) -> Draft:
    """The answer as drafted, with the likeliest category as its first."""
    codes = ending.piece.prefix.codes
    first = max(range(len(codes)), key=reading.first_scores.__getitem__)
    return Draft(codes, (*ending.pasts, passed.keep(ending.number)), listed=(codes[first],))


def _start_over(passed: Passed, ending: Ending, unsafe: int) -> Draft:
    """Nothing of the draft but `unsafe`."""
    prompt = passed.keep(ending.number, len(ending.piece.ids))
    return Draft(ending.piece.prefix.codes, (*ending.pasts, prompt), written=(unsafe,))


def _to_host(values: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    if not values.is_cuda:
        return values, None
    copy = torch.empty_like(values, device="cpu", pin_memory=True)
    copy.copy_(values, non_blocking=True)
    is_read = torch.cuda.Event()  # type: ignore[no-untyped-call]
    is_read.record()
    return copy, is_read
