import pytest
from judged_rows import judged

from guard_service.evaluation.evaluation import verdicts
from guard_service.evaluation.sweep import reliability, sweep

SAMPLE = verdicts([judged(True, 0.9), judged(True, 0.5), judged(False, 0.55), judged(False, 0.1)])


def test_a_row_at_the_threshold_is_unsafe() -> None:
    at = {row.threshold: row for row in sweep(SAMPLE)}
    assert (at[0.5].recall, at[0.5].fpr, at[0.5].flagged_share) == (1, 0.5, 0.75)
    assert (at[0.6].recall, at[0.6].fpr, at[0.6].precision) == (0.5, 0, 1)


def test_a_threshold_that_flags_nothing_has_no_precision() -> None:
    assert sweep(SAMPLE)[-1].precision is None


def test_bins_without_rows_are_left_out() -> None:
    found = reliability(SAMPLE)
    assert [one.num_rows for one in found] == [1, 2, 1]
    assert found[1].mean_score == pytest.approx(0.525)
    assert found[1].unsafe_share == 0.5
