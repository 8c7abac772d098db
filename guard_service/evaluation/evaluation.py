"""Judged rows to tables: all together, then by role, category, language and the data set's tags."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from guard_service.conversation import Role
from guard_service.evaluation.figures import Sample, intervals, measure
from guard_service.evaluation.labelled import LabelledRow


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a model and a policy found of one conversation."""

    unsafe_score: float
    is_unsafe: bool
    codes: tuple[str, ...] = ()  # flagged categories
    category_scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled row and what was found of it."""

    row: LabelledRow
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Bootstrap:
    num_resamples: int = 1000  # 0: no intervals
    seed: int = 0


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """Figures of one group; None where its rows cannot give one."""

    by: str  # all, role, category, language or tag
    name: str
    num_rows: int
    num_unsafe: int  # by label; in a category's row: those labelled with it
    f1: float | None
    precision: float | None
    recall: float | None
    fpr: float | None  # None without rows that are safe
    auprc: float | None  # None unless some rows are unsafe and some are safe
    auroc: float | None
    recall_at_fpr_1: float | None  # the most recall that leaves 1 % of safe rows flagged
    recall_at_fpr_5: float | None
    ece: float | None  # ten bins of equal width
    brier: float | None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # 95 %


def evaluate(judged: Sequence[Judged], bootstrap: Bootstrap) -> tuple[EvaluationRow, ...]:
    return tuple(
        evaluate_sample(by, name, sample, bootstrap) for by, name, sample in _samples(judged)
    )


def evaluate_sample(by: str, name: str, sample: Sample, bootstrap: Bootstrap) -> EvaluationRow:
    values = {key: float(value[0]) for key, value in measure(sample).items()}
    given = intervals(sample, bootstrap.num_resamples, bootstrap.seed)
    return EvaluationRow(
        by=by,
        name=name,
        num_rows=len(sample),
        num_unsafe=int(sample.truths.sum()),
        **{key: None if np.isnan(value) else value for key, value in values.items()},
        intervals={key: given[key] for key in given if not np.isnan(values[key])},
    )


def verdicts(judged: Iterable[Judged]) -> Sample:
    """Verdicts against labels: unsafe is the positive class."""
    rows = list(judged)
    return _sample(
        [one.row.is_unsafe for one in rows],
        [one.judgement.is_unsafe for one in rows],
        [one.judgement.unsafe_score for one in rows],
    )


def category(code: str, judged: Iterable[Judged]) -> Sample:
    """One category against the rest, over the rows whose categories are known."""
    rows = [one for one in judged if one.row.codes or not one.row.is_unsafe]
    scores = [one.judgement.category_scores.get(code) for one in rows]
    return _sample(
        [code in one.row.codes for one in rows],
        [code in one.judgement.codes for one in rows],
        None if None in scores else scores,
    )


def _samples(judged: Sequence[Judged]) -> Iterator[tuple[str, str, Sample]]:
    yield "all", "all", verdicts(judged)
    for role in Role:
        if of_role := [one for one in judged if one.row.role is role]:
            yield "role", role.value, verdicts(of_role)
    codes = {code for one in judged for code in one.row.codes}
    for code in sorted(codes, key=lambda code: int(code[1:])):
        yield "category", code, category(code, judged)
    yield from _split("language", judged, lambda row: (row.lang,) if row.lang else ())
    yield from _split("tag", judged, lambda row: row.tags)


def _split(
    by: str, judged: Sequence[Judged], names_of: Callable[[LabelledRow], tuple[str, ...]]
) -> Iterator[tuple[str, str, Sample]]:
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        for name in names_of(one.row):
            groups.setdefault(name, []).append(one)
    for name in sorted(groups):
        yield by, name, verdicts(groups[name])


def _sample(truths: list[bool], found: list[bool], scores: Sequence[float | None] | None) -> Sample:
    return Sample(
        np.array(truths, dtype=bool),
        np.array(found, dtype=bool),
        None if scores is None else np.array(scores, dtype=np.float64),
    )
