"""What is known of a conversation once it was judged: all that rows hold and a replay needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from guard_service.verdict import Reading


@dataclass(frozen=True, slots=True)
class Judgement:
    action: str
    needs_review: bool
    is_unsafe: bool
    codes: tuple[str, ...]  # flagged, the strongest first
    worst: Reading
    others: tuple[Reading, ...]  # of a conversation in several windows or views
    assessment: str
    judged_chars: int
    total_chars: int
    signs: tuple[str, ...]

    def to_bytes(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Judgement":
        values: dict[str, Any] = _frozen(orjson.loads(data))
        worst = Reading(**_frozen(values.pop("worst")))
        others = tuple(Reading(**_frozen(each)) for each in values.pop("others"))
        return cls(**values, worst=worst, others=others)


def _frozen(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Why there is no judgement, and asking again would not help."""

    reason: str


Answers = Mapping[bytes, Judgement | Unjudged]  # by digest
