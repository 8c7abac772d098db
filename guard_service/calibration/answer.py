"""Resolved items, each with what is true of it and how many decisions it stands for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from guard_service.decision import ReviewReason
from guard_service.evidence import unanswerable
from guard_service.policy import Action, Policy
from guard_service.review.database import Database
from guard_service.review.evidence import Decided, Wanted
from guard_service.review.item import Outcome
from guard_service.review.replay import every_decided

# Within a cell it is the age that says who is looked at first.
Cell = tuple[ReviewReason, int]


@dataclass(frozen=True, slots=True)
class Answered:
    """`weight`: one by how probable it was that people see it and, in its cell, have answered."""

    decided: Decided
    weight: float

    @property
    def is_sampled(self) -> bool:
        return self.decided.item.reason is ReviewReason.SAMPLED

    @property
    def should_block(self) -> bool:
        is_blocked = self.decided.item.action is Action.BLOCK
        return is_blocked == (self.decided.outcome is Outcome.UPHELD)

    @property
    def categories(self) -> frozenset[str] | None:
        """Those that are there; None: some is, and nobody said which."""
        if self.decided.seen:
            return frozenset(self.decided.seen)
        if not self.should_block:
            return frozenset()
        return frozenset(self.decided.item.codes) or None


@dataclass(slots=True)
class Gathered:
    """Items of one policy, whatever its version."""

    resolved: list[Decided] = field(default_factory=list)
    num_by_cell: Counter[Cell] = field(default_factory=Counter)  # resolved or not
    left_out: Counter[str] = field(default_factory=Counter)  # by the reason

    def add(self, decided: Decided, policy: Policy) -> None:
        if problem := _unfit(decided, policy):
            self.left_out[problem] += 1
            return
        self.num_by_cell[cell_of(decided)] += 1
        if decided.outcome is not None:
            self.resolved.append(decided)

    @property
    def num_unanswered(self) -> int:
        """Items in cells of which nobody has looked at any: they count for nothing."""
        answered = set(map(cell_of, self.resolved))
        return sum(num for cell, num in self.num_by_cell.items() if cell not in answered)


async def gather(database: Database, policy: Policy, tenant: str | None = None) -> Gathered:
    gathered = Gathered()
    async for decided in every_decided(database, Wanted(policy=policy.id, tenant=tenant)):
        gathered.add(decided, policy)
    return gathered


def weigh(gathered: Gathered) -> list[Answered]:
    """Horvitz and Thompson's weights, and those of a cell raised to all of its items."""
    num_resolved = Counter(map(cell_of, gathered.resolved))
    return [
        Answered(each, _selection(each) * gathered.num_by_cell[cell] / num_resolved[cell])
        for each in gathered.resolved
        for cell in [cell_of(each)]
    ]


def cell_of(decided: Decided) -> Cell:
    return decided.item.reason, decided.item.place.level


def codes_of(policy: Policy) -> Sequence[str]:
    return [category.code for category in policy.categories]


def _selection(decided: Decided) -> float:
    inclusion = decided.item.place.inclusion
    assert inclusion, "This is a bug: what has no known probability is left out."
    return 1 / inclusion


def _unfit(decided: Decided, policy: Policy) -> str:
    if not decided.item.place.inclusion:
        return "how probable it was that people see them is not known"
    # Thresholds are judged by scores alone: only the lists may be missing below the old threshold.
    asked = decided.evidence.policy
    return unanswerable(policy.model_copy(update={"threshold": asked.threshold}), asked)
