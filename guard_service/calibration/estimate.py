"""Precision and recall of all decisions, from a sample of them that was drawn unevenly.

Nearly every answered item was sent to people because of its score and stands for itself; the few
that were drawn from all else stand for many each. One miss among these weighs more than a hundred
hits, and no miss among fifty of them does not show that there is none. So each side of a threshold
is, in each of the two strata, a share with Jeffreys' prior on its effective number of items (Kish),
and the figures come of draws of all four together.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_NUM_DRAWS = 2000
_PRIOR = 0.5


@dataclass(frozen=True, eq=False)
class Sample:
    """Answered items as columns."""

    scores: Floats
    truths: Bools
    weights: Floats
    is_sampled: Bools

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Estimate:
    """95 % lie within; None: the answered items cannot tell."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


UNKNOWN = Estimate()


@dataclass(frozen=True, slots=True)
class Figures:
    """What is found by a threshold or a rule; counts are of answered items, shares of decisions."""

    precision: Estimate
    recall: Estimate
    num_found: int
    num_true: int


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of the threshold in one stratum: its weight, and draws of what of it is true."""

    weight: float
    true_weight: float
    draws: Floats


def estimate(sample: Sample, found: Bools, seed: int = 0) -> Figures:
    """The same sample and seed give the same figures."""
    rng = np.random.default_rng(seed)
    hits = list(_sides(sample, found, rng))
    misses = list(_sides(sample, ~found, rng))
    true_found, true_missed = (sum(s.true_weight for s in sides) for sides in (hits, misses))
    drawn_found = sum((side.draws for side in hits), np.zeros(_NUM_DRAWS))
    drawn_missed = sum((side.draws for side in misses), np.zeros(_NUM_DRAWS))
    num_found = sum(side.weight for side in hits)
    recall = _share(true_found, true_found + true_missed, drawn_found, drawn_found + drawn_missed)
    return Figures(
        _share(true_found, num_found, drawn_found, np.full(_NUM_DRAWS, num_found)),
        # Without a sample of what nobody else looks at, misses cannot be seen.
        recall if sample.is_sampled.any() else UNKNOWN,
        int(found.sum()),
        int(sample.truths.sum()),
    )


def _sides(sample: Sample, side: Bools, rng: np.random.Generator) -> Iterator[_Side]:
    for stratum in (sample.is_sampled, ~sample.is_sampled):
        chosen = stratum & side
        weights, truths = sample.weights[chosen], sample.truths[chosen]
        if len(weights):
            yield _side(weights, truths, rng)


def _side(weights: Floats, truths: Bools, rng: np.random.Generator) -> _Side:
    weight, true_weight = float(weights.sum()), float(weights[truths].sum())
    effective, share = weight**2 / float((weights**2).sum()), true_weight / weight
    drawn = rng.beta(_PRIOR + effective * share, _PRIOR + effective * (1 - share), _NUM_DRAWS)
    return _Side(weight, true_weight, weight * drawn)


def _share(part: float, whole: float, parts: Floats, wholes: Floats) -> Estimate:
    if not whole:
        return UNKNOWN
    value = part / whole
    low, high = np.percentile(parts / wholes, (2.5, 97.5))
    return Estimate(value, min(float(low), value), max(float(high), value))
