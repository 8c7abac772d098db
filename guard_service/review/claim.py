"""The nouns of the queue: who asks for what, and what they then hold."""

from dataclasses import dataclass, field
from datetime import datetime

from guard_service.review.item import Outcome, ReviewItem


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person, who sees the items of one tenant; None: of all."""

    name: str
    tenant: str | None


@dataclass(frozen=True, slots=True)
class Route:
    """Which items a reviewer takes; empty: all."""

    categories: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()  # categories that must not be flagged at all


EVERYTHING = Route()


@dataclass(frozen=True, slots=True)
class Held:
    """What its holder shows to act on an item: a later claim has a larger token."""

    item_id: str
    token: int


@dataclass(frozen=True, slots=True)
class Claim:
    item: ReviewItem
    token: int
    lease_until: datetime
    has_text: bool = False  # it is kept, whether it came with this claim or not


@dataclass(frozen=True, slots=True)
class Answer:
    """A reviewer's resolution, before it is one."""

    outcome: Outcome
    codes: tuple[str, ...] = ()
    note: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of claims: tried first in that lane."""

    random: float = 0.1
    golden: float = 0.02


USUAL = Shares()
