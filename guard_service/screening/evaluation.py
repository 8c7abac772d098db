"""How well verdicts agree with labels. Plain arithmetic; knows neither files nor screens.

A figure that the rows cannot give is None (not applicable), never a zero that looks like a result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from guard_service.conversation import Role
from guard_service.screening.labelled import LabelledRow

_ECE_BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled row and what was found of it."""

    row: LabelledRow
    unsafe_score: float
    is_unsafe: bool
    codes: tuple[str, ...] = ()  # flagged categories


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    name: str  # "all", a role, or a category's code
    num_rows: int
    num_unsafe: int  # by label; in a category's row: those labelled with it
    f1: float | None
    precision: float | None
    recall: float | None
    fpr: float | None  # None without rows that are safe
    auprc: float | None = None  # None unless some rows are unsafe and some are safe
    ece: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    rows: tuple[EvaluationRow, ...]


def evaluate(judged: Sequence[Judged]) -> Evaluation:
    """All together, then by judged role, then by category that the labels name."""
    rows = [evaluate_verdicts("all", judged)]
    for role in Role:
        if of_role := [one for one in judged if one.row.role is role]:
            rows.append(evaluate_verdicts(role.value, of_role))
    codes = {code for one in judged for code in one.row.codes}
    rows += [evaluate_category(code, judged) for code in sorted(codes, key=_number)]
    return Evaluation(tuple(rows))


def evaluate_verdicts(name: str, judged: Sequence[Judged]) -> EvaluationRow:
    """Verdicts against labels: unsafe is the positive class."""
    truths = [one.row.is_unsafe for one in judged]
    scores = [one.unsafe_score for one in judged]
    return replace(
        _count(name, truths, [one.is_unsafe for one in judged]),
        auprc=average_precision(truths, scores),
        ece=expected_calibration_error(truths, scores),
    )


def evaluate_category(code: str, judged: Iterable[Judged]) -> EvaluationRow:
    """One category against the rest, over the rows whose categories are known."""
    known = [one for one in judged if one.row.codes or not one.row.is_unsafe]
    truths = [code in one.row.codes for one in known]
    return _count(code, truths, [code in one.codes for one in known])


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


def _count(name: str, truths: Sequence[bool], found: Sequence[bool]) -> EvaluationRow:
    pairs = list(zip(truths, found, strict=True))
    hits, missed = pairs.count((True, True)), pairs.count((True, False))
    false_alarms, rejected = pairs.count((False, True)), pairs.count((False, False))
    return EvaluationRow(
        name=name,
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


def _number(code: str) -> int:
    return int(code[1:])
