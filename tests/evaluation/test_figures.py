import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from guard_service.evaluation.figures import FIGURES, Sample, intervals, measure, resamples

# Tenths, so that ties are common, and any other share.
scores = st.one_of(st.integers(0, 10).map(lambda n: n / 10), st.floats(0, 1))
rows = st.lists(st.tuples(st.booleans(), scores, st.integers(0, 3)), min_size=1, max_size=60)
mixed = rows.filter(lambda found: len({truth for truth, _, weight in found if weight}) == 2)
Rows = list[tuple[bool, float, int]]


def sample_of(given_rows: Rows) -> Sample:
    found = np.array([score for _, score, _ in given_rows], dtype=np.float64)
    return Sample(np.array([truth for truth, _, _ in given_rows], dtype=bool), found >= 0.5, found)


def measured(sample: Sample) -> dict[str, float]:
    return {name: value.item() for name, value in measure(sample).items()}


@settings(deadline=None)  # the first call may wait for a busy machine
@given(rows)
def test_counts_are_those_of_scikit_learn(given_rows: Rows) -> None:
    sample = sample_of(given_rows)
    ours = measured(sample)
    for name in ("f1", "precision", "recall"):
        reference = getattr(metrics, f"{name}_score")
        theirs = reference(sample.truths, sample.found, zero_division=np.nan)
        assert ours[name] == pytest.approx(theirs, nan_ok=True)
    (rejected, alarms), _ = metrics.confusion_matrix(sample.truths, sample.found, labels=[0, 1])
    assert ours["fpr"] == pytest.approx(
        alarms / (alarms + rejected) if alarms + rejected else np.nan, nan_ok=True
    )


@settings(deadline=None)  # the first call may wait for a busy machine
@given(mixed)
def test_rankings_are_those_of_scikit_learn_under_any_weights(given_rows: Rows) -> None:
    sample = sample_of(given_rows)
    weights = np.array([weight for _, _, weight in given_rows], dtype=np.float64)
    ours = measure(sample, weights[None])
    counted = weights > 0  # its curves stumble over rows that count nothing
    truths, found, weights = sample.truths[counted], sample.scores[counted], weights[counted]
    told = {"y_score": found, "sample_weight": weights}
    assert ours["auprc"] == pytest.approx(metrics.average_precision_score(truths, **told))
    assert ours["auroc"] == pytest.approx(metrics.roc_auc_score(truths, **told))
    fprs, recalls, _ = metrics.roc_curve(truths, **told, drop_intermediate=False)
    for percent in (1, 5):
        most = recalls[fprs <= percent / 100].max()
        assert ours[f"recall_at_fpr_{percent}"] == pytest.approx(most)


@settings(deadline=None)  # the first call may wait for a busy machine
@given(rows)
def test_the_brier_score_is_that_of_scikit_learn(given_rows: Rows) -> None:
    sample = sample_of(given_rows)
    theirs = metrics.brier_score_loss(sample.truths, sample.scores, pos_label=True)
    assert measured(sample)["brier"] == pytest.approx(theirs)


def test_calibration_error_weighs_the_bins_by_their_rows() -> None:
    # one bin 0.1 off with three rows in it, one bin that is right
    sample = sample_of([(True, 0.77, 1), (True, 0.77, 1), (False, 0.76, 1), (True, 1.0, 1)])
    assert measured(sample)["ece"] == pytest.approx(3 / 4 * (0.7666667 - 2 / 3), abs=1e-6)


def test_equal_scores_for_all_give_the_share_of_unsafe_rows() -> None:
    found = measured(sample_of([(truth, 0.3, 1) for truth in (True, False, False, False)]))
    assert (found["auprc"], found["auroc"], found["recall_at_fpr_5"]) == (0.25, 0.5, 0)


def test_rows_of_one_truth_have_no_ranking() -> None:
    unsafe = measured(sample_of([(True, 0.9, 1), (True, 0.1, 1)]))
    assert unsafe["recall"] == 0.5
    assert all(np.isnan(unsafe[name]) for name in ("fpr", "auprc", "auroc", "recall_at_fpr_1"))


def test_no_rows_have_no_figures() -> None:
    nothing = np.zeros(0, dtype=bool)
    found = measured(Sample(nothing, nothing, np.zeros(0)))
    assert all(np.isnan(found[name]) for name in FIGURES)
    assert intervals(Sample(nothing, nothing), 10, seed=0) == {}


def random_sample(num_rows: int) -> Sample:
    rng = np.random.default_rng(3)
    truths = rng.random(num_rows) < 0.3
    found = np.round(rng.random(num_rows) * 0.7 + truths * 0.3, 2)
    return Sample(truths, found >= 0.5, found)


def test_intervals_are_those_of_drawing_rows_one_resample_after_the_other() -> None:
    sample = random_sample(200)
    rng, plain = np.random.default_rng(5), []
    for _ in range(400):
        drawn = rng.integers(0, 200, 200)
        plain.append(metrics.average_precision_score(sample.truths[drawn], sample.scores[drawn]))
    low, high = intervals(sample, 400, seed=5)["auprc"]
    assert (low, high) == pytest.approx(np.percentile(plain, (2.5, 97.5)))


def test_a_seed_gives_the_same_intervals_again_and_another_seed_others() -> None:
    sample = random_sample(100)
    assert intervals(sample, 50, seed=1) == intervals(sample, 50, seed=1)
    assert intervals(sample, 50, seed=1) != intervals(sample, 50, seed=2)


def test_every_resample_has_as_many_rows_as_the_sample() -> None:
    blocks = list(resamples(1_000, 5_000, seed=0))
    assert len(blocks) > 1
    assert {total for block in blocks for total in block.sum(axis=1)} == {1_000}
    assert sum(map(len, blocks)) == 5_000
