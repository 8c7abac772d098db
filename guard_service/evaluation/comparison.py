"""Two models or policies on the same rows: what differs, and whether chance could have done it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from guard_service.evaluation.evaluation import Bootstrap, Judged, verdicts
from guard_service.evaluation.figures import Floats, measure, resamples

_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of ours less theirs, on the same resamples of the rows."""

    figure: str
    ours: float | None
    theirs: float | None
    low: float | None  # 95 %
    high: float | None
    p_value: float | None  # two-sided; no smaller than 2 / (resamples + 1)


@dataclass(frozen=True, slots=True)
class Comparison:
    against: str
    num_rows: int
    num_unmatched: int  # of our rows: the other side has no reading of them
    num_only_ours_right: int
    num_only_theirs_right: int
    mcnemar_p_value: float  # exact, two-sided: are both equally often right?
    differences: tuple[Difference, ...]

    @property
    def is_worse(self) -> bool:
        """Less often right, or with less AUPRC, by more than chance gives one time in twenty."""
        is_less_right = self.num_only_ours_right < self.num_only_theirs_right
        return (is_less_right and self.mcnemar_p_value < _SIGNIFICANT) or any(
            d.figure == "auprc" and d.high is not None and d.high < 0 for d in self.differences
        )


def compare(
    against: str,
    ours: Sequence[Judged],
    theirs: Sequence[Judged],
    bootstrap: Bootstrap,
    num_unmatched: int = 0,
) -> Comparison:
    """Both sides judged the same rows in the same order."""
    sample, other = verdicts(ours), verdicts(theirs)
    is_right, was_right = sample.found == sample.truths, other.found == other.truths
    only_ours, only_theirs = int((is_right & ~was_right).sum()), int((~is_right & was_right).sum())
    blocks = [
        (measure(sample, weights), measure(other, weights))
        for weights in resamples(len(sample), bootstrap.num_resamples, bootstrap.seed)
    ]
    now, then = measure(sample), measure(other)
    differences = []
    for figure in ("auprc", "f1", "recall", "fpr"):
        spread = [mine[figure] - other_one[figure] for mine, other_one in blocks]
        found = np.concatenate(spread) if spread else np.zeros(0)
        differences.append(_difference(figure, now[figure].item(), then[figure].item(), found))
    return Comparison(
        against=against,
        num_rows=len(sample),
        num_unmatched=num_unmatched,
        num_only_ours_right=only_ours,
        num_only_theirs_right=only_theirs,
        mcnemar_p_value=mcnemar(only_ours, only_theirs),
        differences=tuple(differences),
    )


def mcnemar(num_only_ours: int, num_only_theirs: int) -> float:
    """Exact: how likely so uneven a split is if either side is as likely to be the right one."""
    num, fewer = num_only_ours + num_only_theirs, min(num_only_ours, num_only_theirs)
    places = np.arange(1, fewer + 1)
    # In logarithms, because 2 ** num does not fit a float.
    logs = np.concatenate(([0.0], np.cumsum(np.log(num - places + 1) - np.log(places))))
    return float(min(1.0, 2 * np.exp(logs - num * np.log(2)).sum()))


def _difference(figure: str, ours: float, theirs: float, spread: Floats) -> Difference:
    spread = spread[~np.isnan(spread)]
    low = high = p_value = None
    if len(spread):
        low, high = map(float, np.percentile(spread, (2.5, 97.5)))
        fewer = min((spread <= 0).sum(), (spread >= 0).sum())
        p_value = float(min(1.0, 2 * (fewer + 1) / (len(spread) + 1)))
    return Difference(figure, _known(ours), _known(theirs), low, high, p_value)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
