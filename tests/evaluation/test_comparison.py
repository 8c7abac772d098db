import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_rows import judged
from scipy.stats import binomtest

from guard_service.evaluation.comparison import compare, mcnemar
from guard_service.evaluation.evaluation import Bootstrap, Judged

RESAMPLES = Bootstrap(200, seed=1)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(ours: int, theirs: int) -> None:
    expected = binomtest(ours, ours + theirs).pvalue if ours + theirs else 1.0
    assert mcnemar(ours, theirs) == pytest.approx(expected)


def test_mcnemar_is_exact_where_floats_would_overflow() -> None:
    assert mcnemar(5_000, 5_200) == pytest.approx(binomtest(5_000, 10_200).pvalue)


def rows(num: int, noise: float) -> list[Judged]:
    """Scores that tell the truth but for noise."""
    rng = np.random.default_rng(2)
    truths = rng.random(num) < 0.4
    scores = np.clip(truths * 0.6 + 0.2 + rng.normal(0, noise, num), 0, 1)
    return [judged(bool(truth), float(score)) for truth, score in zip(truths, scores, strict=True)]


def test_a_side_against_itself_differs_in_nothing() -> None:
    found = compare("itself", rows(100, 0.3), rows(100, 0.3), RESAMPLES)
    assert (found.num_only_ours_right, found.num_only_theirs_right) == (0, 0)
    assert found.mcnemar_p_value == 1
    assert {(d.low, d.high, d.p_value) for d in found.differences} == {(0, 0, 1)}
    assert not found.is_worse


def test_a_planted_regression_is_worse_and_the_other_way_round_is_not() -> None:
    good, bad = rows(300, 0.1), rows(300, 0.6)
    worse = compare("before", bad, good, RESAMPLES)
    auprc = worse.differences[0]
    assert auprc.figure == "auprc"
    assert auprc.high is not None and auprc.high < 0
    assert auprc.p_value == pytest.approx(2 / 201)
    assert worse.is_worse
    assert not compare("after", good, bad, RESAMPLES).is_worse


def test_without_resamples_only_decisions_are_tested() -> None:
    found = compare("before", rows(300, 0.6), rows(300, 0.1), Bootstrap(0))
    assert {d.p_value for d in found.differences} == {None}
    assert found.is_worse
