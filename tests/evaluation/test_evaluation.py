import pytest
from judged_rows import judged

from guard_service.conversation import Role
from guard_service.evaluation.evaluation import (
    Bootstrap,
    EvaluationRow,
    category,
    evaluate,
    evaluate_sample,
    verdicts,
)
from guard_service.evaluation.figures import Sample

PLAIN = Bootstrap(0)


def one(sample: Sample) -> EvaluationRow:
    return evaluate_sample("all", "all", sample, PLAIN)


def test_rows_that_are_all_unsafe_give_recall_but_no_false_positive_rate() -> None:
    found = one(verdicts([judged(True, 0.9), judged(True, 0.1)]))
    assert (found.recall, found.fpr, found.auprc) == (0.5, None, None)


def test_rows_that_are_all_safe_give_a_false_positive_rate_alone() -> None:
    found = one(verdicts([judged(False, 0.9), judged(False, 0.1), judged(False, 0.1)]))
    assert found.fpr == pytest.approx(1 / 3)
    assert (found.recall, found.auprc) == (None, None)


def test_a_category_is_compared_over_the_rows_whose_categories_are_known() -> None:
    given_rows = [
        judged(True, 0.9, codes=("S1",), found={"S1": 0.8, "S2": 0.1}),
        judged(True, 0.9, codes=("S2",), found={"S1": 0.6}),
        judged(True, 0.9, codes=(), found={"S1": 0.9}),  # nobody said which
        judged(False, 0.9, codes=(), found={"S1": 0.5}),
        judged(False, 0.1, found={}),
    ]
    found = one(category("S1", given_rows))
    assert (found.num_rows, found.num_unsafe) == (4, 1)
    assert (found.precision, found.recall, found.fpr) == (pytest.approx(1 / 3), 1, 2 / 3)
    assert found.auprc is None  # one row has no score of it


def test_a_category_is_ranked_by_its_own_score() -> None:
    given_rows = [
        judged(True, 0.9, codes=("S1",), found={"S1": 0.2}),
        judged(True, 0.9, codes=("S2",), found={"S1": 0.7}),
        judged(False, 0.1, found={"S1": 0.1}),
    ]
    assert one(category("S1", given_rows)).auprc == pytest.approx(1 / 2)


def test_rows_are_evaluated_together_then_by_role_category_language_and_tag() -> None:
    rows = evaluate(
        [
            judged(True, 0.9, codes=("S10",), lang="fr"),
            judged(True, 0.9, codes=("S2",), role=Role.ASSISTANT, tags=("vanilla",)),
            judged(False, 0.1, lang="de", tags=("vanilla",)),
        ],
        PLAIN,
    )
    assert [(row.by, row.name, row.num_rows) for row in rows] == [
        ("all", "all", 3),
        ("role", "user", 2),
        ("role", "assistant", 1),
        ("category", "S2", 3),
        ("category", "S10", 3),
        ("language", "de", 1),
        ("language", "fr", 1),
        ("tag", "vanilla", 2),
    ]


def test_an_interval_stands_about_its_figure_and_only_where_there_is_one() -> None:
    given_rows = [judged(n % 2 == 0, (n % 10) / 10) for n in range(40)]
    found = evaluate_sample("all", "all", verdicts(given_rows), Bootstrap(100))
    low, high = found.intervals["recall"]
    assert low < found.recall < high
    safe = evaluate_sample("all", "all", verdicts([judged(False, 0.1)] * 5), Bootstrap(100))
    assert set(safe.intervals) == {"fpr", "ece", "brier"}
