"""How well verdicts agree with labels. Plain arithmetic; knows neither files nor screens.

A figure that the rows cannot give is None (shown as a dash), never a zero that looks like a result.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby

from guard_service.conversation import Role
from guard_service.screening.labelled import LabelledRow

HEADINGS = ("file", "rows", "n", "unsafe", "F1", "precision", "recall", "FPR", "AUPRC", "ECE")
_ALL_FILES = "all files"
_ECE_BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled row and what was found of it."""

    row: LabelledRow
    unsafe_score: float
    is_unsafe: bool
    codes: tuple[str, ...] = ()  # flagged categories


@dataclass(frozen=True, slots=True)
class Figures:
    num_rows: int
    num_unsafe: int  # by label; in a category's figures: rows labelled with it
    f1: float | None
    precision: float | None
    recall: float | None
    fpr: float | None  # None without rows that are safe
    auprc: float | None = None  # None unless some rows are unsafe and some are safe
    ece: float | None = None


@dataclass(frozen=True, slots=True)
class TableRow:
    file: str
    group: str  # "all", a role, or a category's code
    figures: Figures

    def cells(self) -> tuple[str, ...]:
        """The row as shown, under HEADINGS."""
        f = self.figures
        shares = (f.f1, f.precision, f.recall, f.fpr, f.auprc, f.ece)
        return (self.file, self.group, str(f.num_rows), str(f.num_unsafe), *map(_show, shares))

    def to_json(self) -> dict[str, object]:
        return {"file": self.file, "group": self.group, **asdict(self.figures)}


def table(files: Mapping[str, Sequence[Judged]]) -> tuple[TableRow, ...]:
    """Every file whole, by role and by category; then, where there are several, all together."""
    rows = [row for name, judged in files.items() for row in _table_of(name, judged)]
    if len(files) > 1:
        together = [one for judged in files.values() for one in judged]
        rows += _table_of(_ALL_FILES, together)
    return tuple(rows)


def figures(judged: Sequence[Judged]) -> Figures:
    """Verdicts against labels: unsafe is the positive class."""
    truths = [one.row.is_unsafe for one in judged]
    scores = [one.unsafe_score for one in judged]
    return replace(
        _figures(truths, [one.is_unsafe for one in judged]),
        auprc=average_precision(truths, scores),
        ece=expected_calibration_error(truths, scores),
    )


def category_figures(judged: Iterable[Judged], code: str) -> Figures:
    """One category against the rest, over the rows whose categories are known."""
    known = [one for one in judged if one.row.codes or not one.row.is_unsafe]
    return _figures([code in one.row.codes for one in known], [code in one.codes for one in known])


def average_precision(truths: Sequence[bool], scores: Sequence[float]) -> float | None:
    """Area under precision over recall, as steps; rows of one score are one step."""
    num_unsafe = sum(truths)
    if num_unsafe in (0, len(truths)):  # without safe rows it is 1 for any scores
        return None
    area, hits, seen = 0.0, 0, 0
    ranked = sorted(zip(scores, truths, strict=True), key=_score, reverse=True)
    for _, tied in groupby(ranked, key=_score):
        found = [truth for _, truth in tied]
        hits, seen = hits + sum(found), seen + len(found)
        area += sum(found) / num_unsafe * hits / seen
    return area


def expected_calibration_error(truths: Sequence[bool], scores: Sequence[float]) -> float | None:
    """How far scores are from the share that is unsafe, on average, in ten bins of equal width."""
    bins: list[list[float]] = [[] for _ in range(_ECE_BINS)]
    for truth, score in zip(truths, scores, strict=True):
        bins[min(int(score * _ECE_BINS), _ECE_BINS - 1)].append(score - truth)
    return _ratio(sum(abs(sum(gaps)) for gaps in bins), len(truths))


def _table_of(name: str, judged: Sequence[Judged]) -> list[TableRow]:
    rows = [TableRow(name, "all", figures(judged))]
    for role in Role:
        if of_role := [one for one in judged if one.row.role is role]:
            rows.append(TableRow(name, role.value, figures(of_role)))
    codes = {code for one in judged for code in one.row.codes}
    for code in sorted(codes, key=lambda code: int(code[1:])):
        rows.append(TableRow(name, code, category_figures(judged, code)))
    return rows


def _figures(truths: Sequence[bool], found: Sequence[bool]) -> Figures:
    pairs = list(zip(truths, found, strict=True))
    hits, missed = pairs.count((True, True)), pairs.count((True, False))
    false_alarms, rejected = pairs.count((False, True)), pairs.count((False, False))
    return Figures(
        num_rows=len(pairs),
        num_unsafe=hits + missed,
        f1=_ratio(2 * hits, 2 * hits + false_alarms + missed),
        precision=_ratio(hits, hits + false_alarms),
        recall=_ratio(hits, hits + missed),
        fpr=_ratio(false_alarms, false_alarms + rejected),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _score(pair: tuple[float, bool]) -> float:
    return pair[0]


def _show(share: float | None) -> str:
    return "—" if share is None else f"{share:.3f}"
