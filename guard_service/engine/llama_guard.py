"""Reads prompts off the model: one pass for whole prompts and pieces of any policy and side.

Behind every prompt goes the draft `unsafe`, newline, `S`. One pass then gives, by causality, what a
plain prefill would give at the verdict token, and the distribution of the first category given
"unsafe". This is speculative decoding with a constant draft.
Knows tokens, not words, and nothing of policies beyond the codes that a prompt offers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedModel

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.head import Head
from guard_service.engine.kernels import Kernels
from guard_service.engine.linear import Weights
from guard_service.engine.listing import Draft, Lister, Read
from guard_service.engine.llama import Llama, Passed
from guard_service.engine.message import Batch, Piece
from guard_service.engine.packing import Segment, to_device
from guard_service.engine.prefix_cache import PrefixCache
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
    """A pass that was launched; what is read of it is on the host once `is_read` has come."""

    endings: tuple[Ending, ...]
    riders: tuple[Draft, ...]  # the last segments of the pass
    passed: Passed
    scores: Tensor  # [endings, 3 + numbers]: unsafe score, label mass, draft accepted, first
    picks: Tensor  # [riders]
    is_read: torch.cuda.Event | None

    def wait(self) -> None:
        if self.is_read is not None:
            self.is_read.synchronize()


class LlamaGuard:
    """Reads prompts. Not for concurrent use; batches are submitted and collected in order."""

    def __init__(self, model: PreTrainedModel, kernels: Kernels, tokenizer: GuardTokenizer) -> None:
        answer = tokenizer.answer
        self.llama = llama = Llama(model, kernels)
        self.head = Head(Weights(model.lm_head.weight, None), kernels.make_head, answer)
        self._answer = answer
        self._draft = (answer.unsafe, answer.newline, answer.first_s)
        self._codes = {code: place for place, code in enumerate(answer.numbers)}
        self._forced = torch.tensor(self._draft[1:], device=llama.device)
        self._lister = Lister(tokenizer, _ends(model), self.head)
        self.num_decode_passes = 0
        self._offered = lru_cache(maxsize=256)(self._find_offered)
        self._kept: dict[int, tuple[Tensor, ...]] = {}
        self.prefixes = PrefixCache(self._compute_prefix)

    @property
    def num_kept(self) -> int:
        """Prompts of which earlier pieces wait for the next."""
        return len(self._kept)

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        """One reading for each prompt, in order, from one pass; nothing of them is kept."""
        keys = range(-len(prompts), 0)  # of no caller
        pieces = (Piece.whole(key, prompt) for key, prompt in zip(keys, prompts, strict=True))
        read = self.read_batch(Batch(tuple(pieces)))
        return [read[key] for key in keys]

    def read_batch(self, batch: Batch) -> dict[int, Reading]:
        """A reading for each piece that ends a prompt, by its key."""
        return dict(self.collect(self.submit(batch)))

    @torch.inference_mode()
    def submit(self, batch: Batch) -> Submitted:
        """Launch the pass; where that fails, what was kept is kept unchanged."""
        # 1) what each piece follows, and who rides along
        pasts = [
            (self.prefixes.get(piece.prefix), *self._kept.get(piece.key, ()))
            for piece in batch.pieces
        ]
        riders = () if batch.is_alone else self._lister.board()
        # 2) the pass
        segments = [*map(self._segment, batch.pieces, pasts), *map(self._lister.segment, riders)]
        passed = self.llama.forward(segments)
        endings = tuple(
            Ending(piece, number, past)
            for number, (piece, past) in enumerate(zip(batch.pieces, pasts, strict=True))
            if piece.is_last
        )
        submitted = self._read_out(endings, riders, passed)
        # 3) what the next pieces follow
        self._lister.leave(riders)
        self._kept |= {
            piece.key: (*pasts[number][1:], passed.keep(number))
            for number, piece in enumerate(batch.pieces)
            if not piece.is_last
        }
        ended = (ending.piece.key for ending in endings)
        for key in (*ended, *batch.forgotten):
            self._kept.pop(key, None)
        return submitted

    @torch.inference_mode()
    def collect(self, submitted: Submitted, is_followed: bool = False) -> list[Read]:
        """Wait for the pass; the readings that it finished, of this batch or of earlier ones.

        Where a pass follows, lists are left to ride in it; else they are finished at once.
        """
        submitted.wait()
        rows = submitted.scores.tolist()
        readings = [
            Reading(score, mass, tuple(first[self._codes[c]] for c in ending.piece.prefix.codes))
            for ending, (score, mass, _, *first) in zip(submitted.endings, rows, strict=True)
        ]
        read = self._begin_lists(submitted, readings, [bool(row[2]) for row in rows])
        read += self._go_on(submitted)
        while self._lister.has_waiting and not is_followed:
            self.num_decode_passes += 1
            read += self._go_on(self.submit(Batch(())))
        return read

    def _segment(self, piece: Piece, pasts: tuple[Tensor, ...]) -> Segment:
        if piece.is_last:
            return Segment(piece.ids + self._draft, pasts, _NUM_READ)
        return Segment(piece.ids, pasts)

    def _read_out(
        self, endings: tuple[Ending, ...], riders: tuple[Draft, ...], passed: Passed
    ) -> Submitted:
        num_rows = len(endings) * _NUM_READ
        scores = self._score(passed.rows[:num_rows], endings)
        picks = self._lister.pick(riders, passed.rows[num_rows:])
        scores, picks = _to_host(scores), _to_host(picks)
        return Submitted(endings, riders, passed, scores, picks, _mark(passed.rows))

    def _score(self, rows: Tensor, endings: Sequence[Ending]) -> Tensor:
        """[endings, 3 + numbers]: the few values that are read."""
        if not endings:
            return torch.empty(0, 3 + len(self._codes))
        rows = rows.view(len(endings), _NUM_READ, -1)
        labels = self.head.labels(rows[:, 0])
        mass = labels.sum(-1, keepdim=True)
        score = labels[:, 1:] / mass
        accepted = self._accept(rows[:, 1:3], score[:, 0], endings)
        offered = torch.stack([self._offered(e.piece.prefix.codes) for e in endings])
        first = self.head.numbers(rows[:, 3]).where(offered, -torch.inf).softmax(-1)
        return torch.cat([score, mass, accepted[:, None], first], dim=1)

    def _accept(self, rows: Tensor, score: Tensor, endings: Sequence[Ending]) -> Tensor:
        """[endings]: whether the model goes on as drafted, where a list is wanted.

        A CPU asks of those alone; a GPU of all, which costs it less than to wait for the scores.
        """
        wanted: Tensor | slice = slice(None)
        if not score.is_cuda:
            above = torch.tensor([e.piece.list_above for e in endings], dtype=torch.float64)
            wanted = score >= above
        written = self.head.likeliest(rows[wanted].flatten(0, 1)).view(-1, len(self._forced))
        accepted = torch.zeros_like(score, dtype=torch.bool)
        accepted[wanted] = (written == self._forced).all(-1)
        return accepted

    def _find_offered(self, codes: tuple[str, ...]) -> Tensor:
        """[numbers]: whether a prompt offers the code of each."""
        offered = torch.tensor([code in codes for code in self._codes])
        return to_device(offered, self.llama.device)

    def _begin_lists(
        self, submitted: Submitted, readings: Sequence[Reading], is_accepted: Sequence[bool]
    ) -> list[Read]:
        """The readings that want no list; the others begin one."""
        read, drafts = list[Read](), list[Draft]()
        for ending, reading, accepted in zip(submitted.endings, readings, is_accepted, strict=True):
            if reading.unsafe_score < ending.piece.list_above:
                read.append((ending.piece.key, reading))
            elif accepted:
                drafts.append(_accept(submitted.passed, ending, reading))
            else:
                drafts.append(_start_over(submitted.passed, ending, reading, self._answer.unsafe))
        return read + self._lister.settle(drafts)

    def _go_on(self, submitted: Submitted) -> list[Read]:
        """What the pass told of its riders."""
        submitted.wait()
        first = len(submitted.passed.starts) - 1 - len(submitted.riders)
        return self._lister.advance(
            submitted.riders,
            submitted.picks.tolist(),
            keep=lambda number: submitted.passed.keep(first + number),
        )

    def _compute_prefix(self, prefix: Prefix) -> Tensor:
        return self.llama.forward([Segment(prefix.ids)]).keep(0)


def _accept(passed: Passed, ending: Ending, reading: Reading) -> Draft:
    """The answer as drafted, with the likeliest category as its first."""
    codes, key = ending.piece.prefix.codes, ending.piece.key
    first = max(range(len(codes)), key=reading.first_scores.__getitem__)
    pasts = (*ending.pasts, passed.keep(ending.number))
    return Draft(key, reading, codes, pasts, listed=(codes[first],))


def _start_over(passed: Passed, ending: Ending, reading: Reading, unsafe: int) -> Draft:
    """Nothing of the draft but `unsafe`: the model would not have gone on as the draft does."""
    codes, key = ending.piece.prefix.codes, ending.piece.key
    pasts = (*ending.pasts, passed.keep(ending.number, len(ending.piece.ids)))
    return Draft(key, reading, codes, pasts, written=(unsafe,))


def _ends(model: PreTrainedModel) -> frozenset[int]:
    """Tokens that end an answer, one or several in the checkpoint's files."""
    ends = model.generation_config.eos_token_id
    return frozenset(ends if isinstance(ends, list) else [ends])


def _to_host(values: Tensor) -> Tensor:
    if not values.is_cuda:
        return values
    return torch.empty_like(values, device="cpu", pin_memory=True).copy_(values, non_blocking=True)


def _mark(last: Tensor) -> torch.cuda.Event | None:
    """Comes when the device has done all that was asked of it so far."""
    if not last.is_cuda:
        return None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return event
