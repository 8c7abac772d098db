"""What others published of a model, and whether a deployment's own figures agree."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from guard_service.errors import SettingsInvalid
from guard_service.evaluation.evaluation import (
    Bootstrap,
    EvaluationRow,
    Judged,
    evaluate_sample,
    verdicts,
)
from guard_service.policy import Policy
from guard_service.taxonomy import TAXONOMY

_FOLDER = Path(__file__).parent / "published"
NO_ROWS = "no such rows were given"
_MAX_ROWS_OFF = 0.05  # of a data set: editions differ by a few rows


class Agreement(Enum):
    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Figure:
    dataset: str
    role: str
    num_rows: int
    figure: str
    low: float
    high: float
    source: str
    tag: str = ""

    def __str__(self) -> str:
        rows = " ".join(filter(None, (self.dataset, self.tag, self.role)))
        values = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        return f"{rows}: {self.figure} {values} ({self.source})"


@dataclass(frozen=True, slots=True)
class Beyond:
    """Published, and not to be compared by anybody who has the public rows alone."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Expected:
    model: str
    margin: float
    figures: tuple[Figure, ...]
    beyond: tuple[Beyond, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    agreement: Agreement
    detail: str


def read_expected(name: str) -> Expected:
    """The published figures of a model by its name, or SettingsInvalid with the names there are."""
    names = sorted(path.stem for path in _FOLDER.glob("*.toml"))
    if name not in names:
        raise SettingsInvalid(f"expect: nothing is known of {name}, only of {', '.join(names)}")
    values = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Expected(
        values["model"],
        values["margin"],
        tuple(Figure(**figure) for figure in values["figure"]),
        tuple(Beyond(**beyond) for beyond in values["beyond"]),
    )


def check(
    expected: Expected, judged: Sequence[Judged], bootstrap: Bootstrap, departure: str = ""
) -> tuple[Finding, ...]:
    """Each published figure against ours; `departure` says why none of ours is comparable."""
    found = [_finding(f, expected.margin, judged, bootstrap, departure) for f in expected.figures]
    beyond = [Finding(b.what, Agreement.NOT_COMPARED, b.why) for b in expected.beyond]
    return (*found, *beyond)


def departure_of(policy: Policy) -> str:
    """Why verdicts by this policy are not the model's own, or nothing."""
    if tuple(category.code for category in policy.categories) != tuple(TAXONOMY):
        return f"policy {policy.id} does not ask for S1 to S14"
    if policy.threshold != 0.5 or any(rule.threshold for rule in policy.rules.values()):
        return f"policy {policy.id} has thresholds of its own"
    return ""


def _finding(
    figure: Figure, margin: float, judged: Sequence[Judged], bootstrap: Bootstrap, departure: str
) -> Finding:
    rows = [one for one in judged if _is_of(figure, one)]
    off = f"{len(rows)} rows, the published figure is of {figure.num_rows}"
    if not rows:
        return Finding(str(figure), Agreement.NOT_COMPARED, NO_ROWS)
    if departure:
        return Finding(str(figure), Agreement.NOT_COMPARED, departure)
    if abs(len(rows) - figure.num_rows) > _MAX_ROWS_OFF * figure.num_rows:
        return Finding(str(figure), Agreement.NOT_COMPARED, off)
    return _compared(figure, margin, evaluate_sample("", "", verdicts(rows), bootstrap))


def _compared(figure: Figure, margin: float, row: EvaluationRow) -> Finding:
    value = getattr(row, figure.figure)
    if value is None:
        return Finding(str(figure), Agreement.NOT_COMPARED, "these rows have no such figure")
    low, high = row.intervals.get(figure.figure, (value, value))
    overlaps = low <= figure.high + margin and high >= figure.low - margin
    agreement = Agreement.AGREES if overlaps else Agreement.DIFFERS
    return Finding(str(figure), agreement, f"{value:.3f} ({low:.3f} to {high:.3f})")


def _is_of(figure: Figure, one: Judged) -> bool:
    row = one.row
    return (
        row.dataset == figure.dataset
        and row.role.value == figure.role
        and (not figure.tag or figure.tag in row.tags)
    )
