import math

import pytest
from conversations import policy
from hypothesis import given
from hypothesis import strategies as st

from guard_service.errors import ReadingRejected
from guard_service.verdict import Reading, check_reading, listed_codes, read_verdict

TWO = {"S1": {}, "S10": {}}


def reading(score: float, *listed: str, first: tuple[float, ...] = (0.75, 0.25)) -> Reading:
    return Reading(score, 0.999, first, listed)


def flagged(verdict: object) -> list[str]:
    return [score.category.code for score in verdict.flagged]  # type: ignore[attr-defined]


def test_safe_below_the_threshold_and_unsafe_from_it_on() -> None:
    assert not read_verdict([reading(0.499)], policy(categories=TWO)).is_unsafe
    assert read_verdict([reading(0.5, "S1")], policy(categories=TWO)).is_unsafe


def test_category_scores_add_up_to_the_unsafe_score() -> None:
    verdict = read_verdict([reading(0.8, "S1")], policy(categories=TWO))
    assert [c.score for c in verdict.categories] == pytest.approx([0.6, 0.2])
    assert sum(c.score for c in verdict.categories) == pytest.approx(verdict.unsafe_score)


def test_what_the_model_lists_is_flagged_strongest_first() -> None:
    verdict = read_verdict([reading(0.9, "S10", "S1")], policy(categories=TWO))
    assert flagged(verdict) == ["S1", "S10"]


def test_a_categorys_own_threshold_flags_it_below_the_base_decision() -> None:
    rules = {"S1": {"threshold": 0.2}, "S10": {}}
    verdict = read_verdict([reading(0.3)], policy(categories=rules))
    assert verdict.is_unsafe
    assert flagged(verdict) == ["S1"]


def test_a_high_threshold_does_not_switch_off_what_the_model_lists() -> None:
    rules = {"S1": {"threshold": 0.99}, "S10": {}}
    assert flagged(read_verdict([reading(0.9, "S1")], policy(categories=rules))) == ["S1"]


def test_the_list_counts_only_once_the_base_decision_is_unsafe() -> None:
    strict = policy(categories=TWO, threshold=0.9)
    assert flagged(read_verdict([reading(0.8, "S1")], strict)) == []


probability = st.floats(0, 1, allow_nan=False)


@given(probability, probability, st.floats(0.01, 1), st.floats(0.01, 1), st.booleans())
def test_lowering_a_threshold_never_unflags(
    score: float, first: float, one: float, other: float, is_listed: bool
) -> None:
    read = reading(score, *(["S1"] if is_listed else []), first=(first, 1 - first))
    low, high = sorted((one, other))
    lower = policy(categories={"S1": {"threshold": low}, "S10": {}})
    higher = policy(categories={"S1": {"threshold": high}, "S10": {}})
    before, after = read_verdict([read], higher), read_verdict([read], lower)
    assert set(flagged(before)) <= set(flagged(after))
    assert before.is_unsafe <= after.is_unsafe


@given(probability, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_lowering_the_base_threshold_never_unflags(score: float, one: float, other: float) -> None:
    read = reading(score, "S10")
    low, high = sorted((one, other))
    before = read_verdict([read], policy(categories=TWO, threshold=high))
    after = read_verdict([read], policy(categories=TWO, threshold=low))
    assert set(flagged(before)) <= set(flagged(after))


def test_the_worst_window_is_the_verdict_and_every_windows_flags_count() -> None:
    rules = {"S1": {}, "S10": {"threshold": 0.3}}
    windows = [reading(0.4, first=(0.1, 0.9)), reading(0.95, "S1", first=(1.0, 0.0)), reading(0.1)]
    verdict = read_verdict(windows, policy(categories=rules))
    assert verdict.unsafe_score == 0.95
    assert set(flagged(verdict)) == {"S1", "S10"}


@pytest.mark.parametrize(
    "broken",
    [
        Reading(math.nan, 1.0, (1.0,)),
        Reading(0.5, math.nan, (1.0,)),
        Reading(0.5, 1.0, (math.inf,)),
        Reading(-0.1, 1.0, (1.0,)),
        Reading(1.7, 1.0, (1.0,)),
        Reading(0.01, 0.3, (1.0,)),
        Reading(0.01, 1.0, (0.5, 0.2)),
        Reading(0.01, 1.0, ()),
    ],
)
def test_a_reading_that_no_healthy_model_gives_is_rejected(broken: Reading) -> None:
    with pytest.raises(ReadingRejected):
        check_reading(broken, min_label_mass=0.5)


def test_a_healthy_reading_passes_unchanged() -> None:
    healthy = reading(0.2)
    assert check_reading(healthy, 0.5) is healthy


@pytest.mark.parametrize(
    ("answer", "codes"),
    [
        ("\nS1", ("S1",)),
        ("\nS10,S1<|eot_id|>", ("S10", "S1")),
        (" \nS1, S10", ("S1", "S10")),
        ("\nS1,S1,S1", ("S1",)),
        ("\nS9", ()),
        ("\nS100", ()),
        ("\ns1", ()),
        ("", ()),
    ],
)
def test_a_written_list_is_read_for_the_codes_on_offer(answer: str, codes: tuple[str, ...]) -> None:
    assert listed_codes(answer, ("S1", "S10")) == codes


def test_a_row_for_other_categories_than_were_asked_is_never_a_verdict() -> None:
    with pytest.raises(ReadingRejected, match="other categories"):
        read_verdict([Reading(0.01, 1.0, (0.5, 0.3, 0.2))], policy(categories=TWO))
