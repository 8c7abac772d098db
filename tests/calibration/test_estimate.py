"""Figures from an uneven sample are those of all decisions."""

from dataclasses import replace

import numpy as np
import pytest

from guard_service.calibration.estimate import UNKNOWN, Bools, Sample, estimate

NUM, THRESHOLD, BAND, SHARE = 20_000, 0.5, 0.1, 0.02


def traffic(rng: np.random.Generator) -> tuple[np.ndarray, Bools]:
    """Mostly harmless, with scores that are a little too sure: some harm hides at low scores."""
    scores = np.where(rng.random(NUM) < 0.1, rng.beta(3, 1.5, NUM), rng.beta(0.6, 12, NUM))
    return scores, rng.random(NUM) < 0.01 + 0.9 * scores**1.5


def looked_at(scores: np.ndarray, truths: Bools, rng: np.random.Generator) -> Sample:
    """As the queue selects: blocked or near the threshold surely, of all else a share."""
    is_certain = (scores >= THRESHOLD) | (np.abs(scores - THRESHOLD) <= BAND)
    is_sampled = ~is_certain & (rng.random(NUM) < SHARE)
    seen = is_certain | is_sampled
    weights = np.where(is_sampled, 1 / SHARE, 1.0)
    return Sample(scores[seen], truths[seen], weights[seen], is_sampled[seen])


def true_figures(scores: np.ndarray, truths: Bools) -> dict[str, float]:
    found = scores >= THRESHOLD
    hits = float((found & truths).sum())
    return {"precision": hits / found.sum(), "recall": hits / truths.sum()}


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    held = {"precision": 0, "recall": 0}
    num_trials = 100
    for seed in range(num_trials):
        rng = np.random.default_rng(seed)
        scores, truths = traffic(rng)
        sample = looked_at(scores, truths, rng)
        figures = estimate(sample, sample.scores >= THRESHOLD)
        for name, true in true_figures(scores, truths).items():
            found = getattr(figures, name)
            held[name] += found.low <= true <= found.high
    assert min(held.values()) >= 0.9 * num_trials


def test_without_weights_the_recall_would_be_far_too_high() -> None:
    errors, naive_errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores, truths = traffic(rng)
        sample = looked_at(scores, truths, rng)
        even = replace(sample, weights=np.ones(len(sample)))
        true = true_figures(scores, truths)["recall"]
        for errors_of, one in ((errors, sample), (naive_errors, even)):
            recall = estimate(one, one.scores >= THRESHOLD).recall.value
            assert recall is not None
            errors_of.append(recall - true)
    assert abs(np.mean(errors)) < 0.03
    assert np.mean(naive_errors) > 0.2


def columns(*rows: tuple[float, bool, float, bool]) -> Sample:
    scores, truths, weights, is_sampled = zip(*rows, strict=True)
    return Sample(*map(np.array, (scores, truths, weights, is_sampled)))


HIT, SAFE = (0.9, True, 1.0, False), (0.1, False, 100.0, True)


def test_no_miss_among_a_few_does_not_show_that_there_is_none() -> None:
    sample = columns(*[HIT] * 100, *[SAFE] * 20)
    recall = estimate(sample, sample.scores >= 0.5).recall
    assert recall.value == recall.high == 1.0
    assert recall.low is not None
    assert recall.low < 0.5


def test_more_of_the_sample_narrows_the_recall() -> None:
    lows = []
    for num in (20, 200, 2000):
        sample = columns(*[HIT] * 100, *[(0.1, False, 2000 / num, True)] * num)
        lows.append(estimate(sample, sample.scores >= 0.5).recall.low)
    assert lows == sorted(lows)  # type: ignore[type-var]


def test_without_a_sample_of_all_else_recall_is_unknown() -> None:
    sample = columns(*[HIT] * 50)
    figures = estimate(sample, sample.scores >= 0.5)
    assert figures.recall == UNKNOWN
    assert figures.precision.value == 1.0


def test_what_finds_nothing_has_no_precision() -> None:
    sample = columns(HIT, SAFE)
    assert estimate(sample, sample.scores >= 0.95).precision == UNKNOWN


@pytest.mark.parametrize("weight", [1.0, 50.0])
def test_a_weight_that_all_share_changes_no_precision(weight: float) -> None:
    rows = [(0.9, n % 4 > 0, weight, False) for n in range(40)]
    sample = columns(*rows, (0.1, False, weight, True))
    precision = estimate(sample, sample.scores >= 0.5).precision
    assert precision.value == 0.75
    assert precision.low == pytest.approx(0.60, abs=0.03)
    assert precision.high == pytest.approx(0.87, abs=0.03)
