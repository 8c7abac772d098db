"""Bounds that a build must keep: `f1=0.75` of all rows, `user.fpr=0.1` of a group."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from guard_service.errors import SettingsInvalid
from guard_service.evaluation.evaluation import EvaluationRow
from guard_service.evaluation.figures import FIGURES

REJECTED = "rejected"  # rows that could not be evaluated; has no group


@dataclass(frozen=True, slots=True)
class Bound:
    group: str
    figure: str
    number: float
    is_floor: bool

    def is_kept(self, value: float | None) -> bool:
        if value is None:
            return False
        return value >= self.number if self.is_floor else value <= self.number

    def __str__(self) -> str:
        sign = ">=" if self.is_floor else "<="
        return f"{self.group}.{self.figure} {sign} {self.number:g}"


def read_bounds(floors: Iterable[str], ceilings: Iterable[str]) -> tuple[Bound, ...]:
    """Bounds as they are written after --fail-under and --fail-over, or SettingsInvalid."""
    pairs = [(text, True) for text in floors] + [(text, False) for text in ceilings]
    return tuple(_bound(text, is_floor=is_floor) for text, is_floor in pairs)


def broken(
    bounds: Iterable[Bound], rows: Sequence[EvaluationRow], num_rejected: int
) -> tuple[str, ...]:
    """What is wrong with each bound that is not kept; what has no value keeps none."""
    found = ((bound, _value(bound, rows, num_rejected)) for bound in bounds)
    return tuple(
        f"{bound}: it {'has no value' if value is None else f'is {value:.4g}'}"
        for bound, value in found
        if not bound.is_kept(value)
    )


def _value(bound: Bound, rows: Sequence[EvaluationRow], num_rejected: int) -> float | None:
    if bound.figure == REJECTED:
        return num_rejected
    # Of two groups that share a name the upper one in the table.
    row = next((row for row in rows if row.name == bound.group), None)
    return None if row is None else getattr(row, bound.figure)


def _bound(text: str, *, is_floor: bool) -> Bound:
    found = re.fullmatch(r"(?:(.+)\.)?([a-z0-9_]+)=([0-9.]+)", text)
    if not found or found[2] not in (*FIGURES, REJECTED):
        raise SettingsInvalid(
            f"{text}: a bound is FIGURE=NUMBER or GROUP.FIGURE=NUMBER; figures are "
            + ", ".join((*FIGURES, REJECTED))
        )
    try:
        number = float(found[3])
    except ValueError:
        raise SettingsInvalid(f"{text}: is not a number") from None
    return Bound(found[1] or "all", found[2], number, is_floor)
