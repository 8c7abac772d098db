"""What is known of a conversation once it was judged: all that rows hold and a replay needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson


@dataclass(frozen=True, slots=True)
class WindowScores:
    """What the model read in one window."""

    unsafe_score: float
    label_mass: float
    scores: tuple[float, ...]  # of the policy's categories, in its order
    listed: tuple[str, ...]  # the model's own list, the first one first


@dataclass(frozen=True, slots=True)
class Judgement:
    action: str
    needs_review: bool
    is_unsafe: bool
    codes: tuple[str, ...]  # flagged, the strongest first
    worst: WindowScores
    others: tuple[WindowScores, ...]  # of a conversation in several windows or views
    assessment: str
    judged_chars: int
    total_chars: int
    signs: tuple[str, ...]

    def to_bytes(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Judgement":
        values: dict[str, Any] = _frozen(orjson.loads(data))
        worst = WindowScores(**_frozen(values.pop("worst")))
        others = tuple(WindowScores(**_frozen(each)) for each in values.pop("others"))
        return cls(**values, worst=worst, others=others)


def _frozen(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}


class _Reading(Protocol):
    """A reading of the engine, or one that a server told."""

    @property
    def unsafe_score(self) -> float: ...
    @property
    def label_mass(self) -> float: ...
    @property
    def first_scores(self) -> tuple[float, ...]: ...
    @property
    def listed(self) -> tuple[str, ...]: ...


def window_scores(reading: _Reading) -> WindowScores:
    scores = tuple(reading.unsafe_score * first for first in reading.first_scores)
    return WindowScores(reading.unsafe_score, reading.label_mass, scores, reading.listed)


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Why there is no judgement, and asking again would not help."""

    reason: str


Answers = Mapping[bytes, Judgement | Unjudged]  # by digest
