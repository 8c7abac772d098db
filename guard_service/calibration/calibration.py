"""What the answered items say of a policy's thresholds, and which ones they would choose."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from guard_service.calibration.answer import Answered
from guard_service.calibration.estimate import Bools, Figures, Sample, estimate
from guard_service.evidence import redecide
from guard_service.policy import Policy
from guard_service.verdict import Reading, Verdict

THRESHOLDS = tuple(number / 100 for number in range(1, 100))
BASE = "unsafe"

ScoreOf = Callable[[Reading], float]


@dataclass(frozen=True, slots=True)
class Point:
    threshold: float
    figures: Figures


@dataclass(frozen=True, slots=True)
class Row:
    """The base decision, or one category: as it is flagged now, and by other thresholds."""

    what: str
    threshold: float | None
    now: Figures
    points: tuple[Point, ...]
    proposed: float | None  # None: as it is


def calibrate(
    answered: Sequence[Answered], policy: Policy, min_precision: float
) -> tuple[Row, ...]:
    """The base first. Proposed is the lowest threshold that is precise enough beyond doubt:

    the lower end of its precision's interval reaches `min_precision`.
    """
    verdicts = [
        redecide(a.decided.evidence, policy, a.decided.item.request_id)[0] for a in answered
    ]
    base = _base(answered, verdicts, policy, min_precision)
    threshold = base.proposed or policy.threshold
    rows = [base]
    for number, category in enumerate(policy.categories):
        row = _category(category.code, number, answered, verdicts, policy)
        chosen = _lowest(row.points, min_precision, 0.0)
        # From the base on, the model's own list flags already.
        if chosen is not None and chosen < threshold and chosen != row.threshold:
            row = Row(row.what, row.threshold, row.now, row.points, chosen)
        rows.append(row)
    return tuple(rows)


def _base(
    answered: Sequence[Answered], verdicts: Sequence[Verdict], policy: Policy, min_precision: float
) -> Row:
    truths = [each.should_block for each in answered]
    sample = _sample(answered, truths, lambda reading: reading.unsafe_score)
    now = estimate(sample, np.array([verdict.is_unsafe for verdict in verdicts], np.bool_))
    points = _points(sample)
    # Below it the model was not asked for its list, so what would be flagged is not known.
    floor = max((each.decided.evidence.policy.list_above for each in answered), default=1.0)
    chosen = _lowest(points, min_precision, floor)
    return Row(BASE, policy.threshold, now, points, None if chosen == policy.threshold else chosen)


def _category(
    code: str,
    number: int,
    answered: Sequence[Answered],
    verdicts: Sequence[Verdict],
    policy: Policy,
) -> Row:
    known = [n for n, each in enumerate(answered) if each.categories is not None]
    chosen = [answered[n] for n in known]
    truths = [code in (each.categories or ()) for each in chosen]
    sample = _sample(chosen, truths, lambda r: r.unsafe_score * r.first_scores[number])
    flagged = [verdicts[n].categories[number].is_flagged for n in known]
    now = estimate(sample, np.array(flagged, np.bool_))
    return Row(code, policy.rules[code].threshold, now, _points(sample), None)


def _sample(answered: Sequence[Answered], truths: Sequence[bool], score_of: ScoreOf) -> Sample:
    return Sample(
        np.array([max(map(score_of, each.decided.evidence.readings)) for each in answered]),
        np.array(truths, np.bool_),
        np.array([each.weight for each in answered], np.float64),
        np.array([each.is_sampled for each in answered], np.bool_),
    )


def _points(sample: Sample) -> tuple[Point, ...]:
    def at(threshold: float) -> Bools:
        return np.asarray(sample.scores >= threshold)

    return tuple(Point(threshold, estimate(sample, at(threshold))) for threshold in THRESHOLDS)


def _lowest(points: Sequence[Point], min_precision: float, floor: float) -> float | None:
    for point in points:
        low = point.figures.precision.low
        if point.threshold >= floor and low is not None and low >= min_precision:
            return point.threshold
    return None
