import math
from random import Random

import pytest
from guard_service.screening.evaluation import (
    Judged,
    average_precision,
    evaluate,
    evaluate_category,
    evaluate_verdicts,
    expected_calibration_error,
)
from guard_service.screening.labelled import LabelledRow
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from guard_service.conversation import Conversation, Message, Role


def judged(
    truth: bool,
    score: float,
    *,
    codes: tuple[str, ...] = (),
    found: tuple[str, ...] = (),
    role: Role = Role.USER,
) -> Judged:
    row = LabelledRow(Conversation((Message(role, "x"),)), truth, codes)
    return Judged(row, score, score >= 0.5, found)


# Tenths, so that ties are common, and any other share.
scores = st.one_of(st.integers(0, 10).map(lambda n: n / 10), st.floats(0, 1))
rows = st.lists(st.tuples(st.booleans(), scores), min_size=1, max_size=60)
mixed = rows.filter(lambda found: len({truth for truth, _ in found}) == 2)


@given(rows)
def test_counts_agree_with_scikit_learn(given_rows: list[tuple[bool, float]]) -> None:
    truths = [truth for truth, _ in given_rows]
    found = [score >= 0.5 for _, score in given_rows]
    ours = evaluate_verdicts("all", [judged(truth, score) for truth, score in given_rows])
    for value, reference in (
        (ours.f1, metrics.f1_score),
        (ours.precision, metrics.precision_score),
        (ours.recall, metrics.recall_score),
    ):
        theirs = reference(truths, found, zero_division=math.nan)
        assert math.isnan(theirs) if value is None else value == pytest.approx(theirs)
    (rejected, alarms), _ = metrics.confusion_matrix(truths, found, labels=[False, True])
    assert ours.fpr == (alarms / (alarms + rejected) if alarms + rejected else None)
    assert (ours.num_rows, ours.num_unsafe) == (len(truths), sum(truths))


@given(mixed)
def test_average_precision_is_that_of_scikit_learn(given_rows: list[tuple[bool, float]]) -> None:
    truths, found = [row[0] for row in given_rows], [row[1] for row in given_rows]
    theirs = metrics.average_precision_score(truths, found)
    assert average_precision(truths, found) == pytest.approx(theirs)


@given(mixed, st.randoms())
def test_average_precision_does_not_depend_on_the_order_of_rows(
    given_rows: list[tuple[bool, float]], random: Random
) -> None:
    shuffled = random.sample(given_rows, len(given_rows))
    before, after = (
        average_precision([t for t, _ in some], [s for _, s in some])
        for some in (given_rows, shuffled)
    )
    assert before == pytest.approx(after)


def test_equal_scores_for_all_give_the_share_of_unsafe_rows() -> None:
    assert average_precision([True, False, False, False], [0.3] * 4) == 0.25


@given(rows)
def test_calibration_error_is_a_share(given_rows: list[tuple[bool, float]]) -> None:
    error = expected_calibration_error([t for t, _ in given_rows], [s for _, s in given_rows])
    assert error is not None and 0 <= error <= 1 + 1e-9


def test_calibration_error_weighs_the_bins_by_their_rows() -> None:
    # one bin 0.1 off with three rows in it, one bin that is right
    error = expected_calibration_error([True, True, False, True], [0.77, 0.77, 0.76, 1.0])
    assert error == pytest.approx(3 / 4 * (0.7666667 - 2 / 3), abs=1e-6)


def test_rows_that_are_all_unsafe_give_recall_but_no_false_positive_rate() -> None:
    found = evaluate_verdicts("all", [judged(True, 0.9), judged(True, 0.1)])
    assert (found.recall, found.fpr, found.auprc) == (0.5, None, None)


def test_rows_that_are_all_safe_give_a_false_positive_rate_alone() -> None:
    found = evaluate_verdicts("all", [judged(False, 0.9), judged(False, 0.1), judged(False, 0.1)])
    assert found.fpr == pytest.approx(1 / 3)
    assert (found.recall, found.auprc) == (None, None)


def test_no_rows_give_no_figures() -> None:
    found = evaluate_verdicts("all", [])
    assert (found.num_rows, found.f1, found.fpr, found.auprc, found.ece) == (0, *[None] * 4)


def test_a_category_is_compared_over_the_rows_whose_categories_are_known() -> None:
    given_rows = [
        judged(True, 0.9, codes=("S1",), found=("S1", "S2")),
        judged(True, 0.9, codes=("S2",), found=("S1",)),
        judged(True, 0.9, codes=(), found=("S1",)),  # nobody said which
        judged(False, 0.9, codes=(), found=("S1",)),
        judged(False, 0.1),
    ]
    found = evaluate_category("S1", given_rows)
    assert (found.num_rows, found.num_unsafe) == (4, 1)
    assert (found.precision, found.recall, found.fpr) == (pytest.approx(1 / 3), 1, 2 / 3)
    assert found.auprc is None


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(["S1", "S2"])), st.sets(st.sampled_from(["S1", "S2"]))),
        min_size=1,
        max_size=40,
    )
)
def test_category_f1_agrees_with_scikit_learn(pairs: list[tuple[set[str], set[str]]]) -> None:
    given_rows = [
        judged(bool(codes), 0.9, codes=tuple(codes), found=tuple(found)) for codes, found in pairs
    ]
    theirs = metrics.f1_score(
        ["S1" in codes for codes, _ in pairs],
        ["S1" in found for _, found in pairs],
        zero_division=math.nan,
    )
    ours = evaluate_category("S1", given_rows).f1
    assert math.isnan(theirs) if ours is None else ours == pytest.approx(theirs)


def test_rows_are_evaluated_together_then_by_role_then_by_category() -> None:
    evaluation = evaluate(
        [
            judged(True, 0.9, codes=("S10",)),
            judged(True, 0.9, codes=("S2",), role=Role.ASSISTANT),
            judged(False, 0.1),
        ]
    )
    assert [(row.name, row.num_rows) for row in evaluation.rows] == [
        ("all", 3),
        ("user", 2),
        ("assistant", 1),
        ("S2", 3),
        ("S10", 3),
    ]
