"""Cutting a long conversation into windows that overlap, so that nothing is left unread.

The judged turn is always read whole, in as many windows as it takes. Earlier turns fill what room
is left, the newest first; what of them does not fit is told by the coverage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from guard_service.prompt import Turn

# Cutting inside a word can change how its pieces are encoded by a few tokens.
_SLACK_TOKENS = 16
_MAX_OVERLAP_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Encoded:
    ids: tuple[int, ...] = field(repr=False)
    spans: tuple[tuple[int, int], ...] = field(repr=False)  # characters of each id


@dataclass(frozen=True, slots=True)
class Coverage:
    """Characters (code points) of the conversation that are read, and in how many windows."""

    judged_chars: int
    total_chars: int
    windows: int

    @property
    def is_complete(self) -> bool:
        return self.judged_chars >= self.total_chars


Encode = Callable[[Sequence[str]], list[Encoded]]


def read_windows(
    turns: Sequence[Turn], encode: Encode, budget: int
) -> tuple[list[tuple[int, ...]], Coverage]:
    """Ids of each window, none longer than `budget` tokens, and what they cover together."""
    encoded = encode([turn.prompt_text for turn in turns])
    total_chars = sum(len(turn.text) for turn in turns)
    if sum(len(e.ids) for e in encoded) <= budget:
        ids = tuple(number for e in encoded for number in e.ids)
        return [ids], Coverage(total_chars, total_chars, 1)
    *earlier, (judged, _) = zip(turns, encoded, strict=True)
    pieces = _pieces(judged, encode, budget * 3 // 4 if earlier else budget)
    context, context_chars = _newest(earlier, encode, budget - max(map(len, pieces)))
    coverage = Coverage(context_chars + len(judged.text), total_chars, len(pieces))
    return [context + piece for piece in pieces], coverage


def _pieces(turn: Turn, encode: Encode, budget: int) -> list[tuple[int, ...]]:
    """Ids of the turn in overlapping pieces of at most `budget` tokens."""
    (whole,) = encode([turn.prompt_text])
    if len(whole.ids) <= budget:
        return [whole.ids]
    spans = encode([turn.text])[0].spans
    size = budget - _SLACK_TOKENS
    overlap = min(_MAX_OVERLAP_TOKENS, size // 4)
    # A piece that its cuts made longer than the budget is cut again.
    return [
        piece
        for start in range(0, max(len(spans) - overlap, 1), size - overlap)
        for piece in _pieces(_slice(turn, spans[start : start + size]), encode, budget)
    ]


def _slice(turn: Turn, spans: Sequence[tuple[int, int]]) -> Turn:
    return Turn(turn.side, turn.text[spans[0][0] : spans[-1][1]].strip())


def _newest(
    earlier: Sequence[tuple[Turn, Encoded]], encode: Encode, budget: int
) -> tuple[tuple[int, ...], int]:
    """As many of the newest tokens of earlier turns as fit, and how many characters they are."""
    context: tuple[int, ...] = ()
    num_chars = 0
    for turn, encoded in reversed(earlier):
        room = budget - len(context)
        if len(encoded.ids) > room:
            end, ids = _end_of(turn, encode, room)
            return ids + context, num_chars + end
        context, num_chars = encoded.ids + context, num_chars + len(turn.text)
    return context, num_chars


def _end_of(turn: Turn, encode: Encode, room: int) -> tuple[int, tuple[int, ...]]:
    """The last characters of a turn that fit into `room` tokens, none if it is too small."""
    if room <= _SLACK_TOKENS:
        return 0, ()
    end = _slice(turn, encode([turn.text])[0].spans[_SLACK_TOKENS - room :])
    (encoded,) = encode([end.prompt_text])
    return (len(end.text), encoded.ids) if len(encoded.ids) <= room else (0, ())
