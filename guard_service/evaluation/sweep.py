"""What other thresholds would give, and how well scores are probabilities."""

from dataclasses import dataclass

import numpy as np

from guard_service.evaluation.figures import Sample, bins, measure

_THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class SweepRow:
    threshold: float  # a row at or above it is unsafe
    flagged_share: float
    f1: float | None
    precision: float | None
    recall: float | None
    fpr: float | None


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    num_rows: int
    mean_score: float
    unsafe_share: float


def sweep(sample: Sample) -> tuple[SweepRow, ...]:
    return tuple(_at(threshold, sample) for threshold in _THRESHOLDS)


def reliability(sample: Sample) -> tuple[ReliabilityBin, ...]:
    """The tenths of the scores that have rows."""
    assert sample.scores is not None
    places = bins(sample.scores)
    masks = [places == place for place in np.unique(places)]
    return tuple(
        ReliabilityBin(
            int(mask.sum()), float(sample.scores[mask].mean()), float(sample.truths[mask].mean())
        )
        for mask in masks
    )


def _at(threshold: float, sample: Sample) -> SweepRow:
    assert sample.scores is not None
    found = sample.scores >= threshold
    values = {name: value.item() for name, value in measure(Sample(sample.truths, found)).items()}
    names = ("f1", "precision", "recall", "fpr")
    figures = {name: None if np.isnan(values[name]) else values[name] for name in names}
    return SweepRow(threshold, float(found.mean()), **figures)
