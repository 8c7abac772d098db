"""The figures of a sample, once or for thousands of resamples at a time. Knows no rows or files.

A figure that the rows cannot give is nan here and None outside, never a zero that looks like a
result.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FIGURES = (
    *("f1", "precision", "recall", "fpr", "auprc", "auroc"),
    *("recall_at_fpr_1", "recall_at_fpr_5", "ece", "brier"),
)
_NUM_BINS = 10
_MAX_CELLS = 2_000_000  # of a matrix of weights: 16 MB


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows as columns: what is true (unsafe), what was decided, and the score if there is one."""

    truths: Bools
    found: Bools
    scores: Floats | None = None

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Rows with the highest score first."""
        assert self.scores is not None, "This is a bug: what has no scores is not ranked."
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where in that order each run of equal scores begins."""
        assert self.scores is not None, "This is a bug: what has no scores is not ranked."
        return np.flatnonzero(np.diff(self.scores[self.order], prepend=np.inf))

    def __len__(self) -> int:
        return len(self.truths)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Unsafe and safe rows at or above each distinct score, for each row of weights: [R, S]."""

    hits: Floats
    alarms: Floats

    @property
    def recalls(self) -> Floats:
        return self.hits / self.hits[:, -1:]

    @property
    def fprs(self) -> Floats:
        return self.alarms / self.alarms[:, -1:]

    @property
    def precisions(self) -> Floats:
        return self.hits / (self.hits + self.alarms)


def rank(sample: Sample, weights: Floats) -> Ranking:
    ranked, truths = weights[:, sample.order], sample.truths[sample.order]
    sums = (np.add.reduceat(ranked * side, sample.starts, axis=1) for side in (truths, ~truths))
    hits, alarms = (side.cumsum(axis=1) for side in sums)
    return Ranking(hits, alarms)


def measure(sample: Sample, weights: Floats | None = None) -> dict[str, Floats]:
    """Each figure once for each row of `weights` ([R, rows]: how often a row counts)."""
    if weights is None:
        weights = np.ones((1, len(sample)))
    with np.errstate(invalid="ignore", divide="ignore"):
        figures = _counted(sample, weights)
        if sample.scores is not None and len(sample):
            figures |= _ranked(rank(sample, weights)) | _calibrated(sample, weights)
    missing = np.full(len(weights), np.nan)
    return {name: figures.get(name, missing) for name in FIGURES}


def resamples(num_rows: int, num_resamples: int, seed: int) -> Iterator[Floats]:
    """Weights of a bootstrap, a block of resamples at a time; the same seed, the same weights."""
    rng = np.random.default_rng(seed)
    block = max(1, _MAX_CELLS // max(1, num_rows))
    for start in range(0, num_resamples, block):
        size = min(block, num_resamples - start)
        drawn = rng.integers(0, num_rows, (size, num_rows))
        drawn += np.arange(size)[:, None] * num_rows
        counts = np.bincount(drawn.ravel(), minlength=size * num_rows)
        yield counts.reshape(size, num_rows).astype(np.float64)


def intervals(sample: Sample, num_resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """95 % of the resamples lie within; a figure that no resample has is left out."""
    blocks = [measure(sample, w) for w in resamples(len(sample), num_resamples, seed)]
    found = {}
    for name in FIGURES if blocks else ():
        values = np.concatenate([block[name] for block in blocks])
        values = values[~np.isnan(values)]
        if len(values):
            low, high = np.percentile(values, (2.5, 97.5))
            found[name] = (float(low), float(high))
    return found


def _counted(sample: Sample, weights: Floats) -> dict[str, Floats]:
    truths, found = sample.truths, sample.found
    hits, alarms = weights @ (truths & found), weights @ (~truths & found)
    missed, rejected = weights @ (truths & ~found), weights @ (~truths & ~found)
    return {
        "f1": 2 * hits / (2 * hits + alarms + missed),
        "precision": hits / (hits + alarms),
        "recall": hits / (hits + missed),
        "fpr": alarms / (alarms + rejected),
    }


def _ranked(ranking: Ranking) -> dict[str, Floats]:
    recalls, fprs = ranking.recalls, ranking.fprs
    steps, widths = np.diff(recalls, prepend=0), np.diff(fprs, prepend=0)
    # A score at which no row of this resample stands adds no recall, and has no precision if it
    # is above them all.
    areas = steps * np.where(steps > 0, ranking.precisions, 0)
    both = np.where(np.isnan(recalls[:, -1] + fprs[:, -1]), np.nan, 0)
    return {
        "auprc": areas.sum(axis=1) + both,  # without safe rows it would be 1 for any scores
        "auroc": (widths * (recalls - steps / 2)).sum(axis=1),
        "recall_at_fpr_1": np.where(fprs <= 0.01, recalls, 0).max(axis=1) + both,
        "recall_at_fpr_5": np.where(fprs <= 0.05, recalls, 0).max(axis=1) + both,
    }


def _calibrated(sample: Sample, weights: Floats) -> dict[str, Floats]:
    assert sample.scores is not None
    gaps = sample.scores - sample.truths
    of_bin = bins(sample.scores)[:, None] == np.arange(_NUM_BINS)
    total = weights.sum(axis=1)
    return {
        "ece": np.abs(weights @ (of_bin * gaps[:, None])).sum(axis=1) / total,
        "brier": weights @ gaps**2 / total,
    }


def bins(scores: Floats) -> NDArray[np.intp]:
    """Which tenth of 0 to 1 each score is in."""
    return np.minimum(scores * _NUM_BINS, _NUM_BINS - 1).astype(np.intp)
