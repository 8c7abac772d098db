"""What a resolved item says, and how many decisions it stands for."""

import random
from dataclasses import replace

import pytest
from random_policies import any_reading, policy
from review_items import item

from guard_service.calibration.answer import Answered, Gathered, weigh
from guard_service.decision import ReviewReason
from guard_service.evidence import Evidence
from guard_service.policy import Action
from guard_service.review.evidence import Decided
from guard_service.review.item import Outcome, Place

ASKED = policy()
EVIDENCE = Evidence(ASKED, (any_reading(random.Random(1)),))


def decided(
    reason: ReviewReason = ReviewReason.BLOCKED,
    outcome: Outcome | None = Outcome.UPHELD,
    *,
    level: int = 8,
    inclusion: float | None = 1.0,
    seen: tuple[str, ...] = (),
    action: Action = Action.BLOCK,
) -> Decided:
    place = Place(level=level, inclusion=inclusion)
    made = item(reason=reason, place=place, action=action, codes=("S1",))
    return Decided(made, EVIDENCE, outcome, seen)


def gathered(*all_decided: Decided) -> Gathered:
    found = Gathered()
    for each in all_decided:
        found.add(each, ASKED)
    return found


def test_an_item_that_was_sampled_stands_for_all_that_it_was_drawn_from() -> None:
    found = gathered(decided(), decided(ReviewReason.SAMPLED, inclusion=0.02))
    assert [each.weight for each in weigh(found)] == [1.0, 50.0]


def test_those_who_wait_are_stood_for_by_the_answered_of_their_cell() -> None:
    waiting = [decided(outcome=None)] * 3 + [decided(outcome=None, level=2)]
    found = gathered(decided(), decided(), decided(level=2), *waiting)
    assert [each.weight for each in weigh(found)] == [2.5, 2.5, 2.0]
    assert found.num_unanswered == 0


def test_cells_of_which_nothing_is_known_are_counted() -> None:
    assert gathered(decided(), decided(outcome=None, level=3)).num_unanswered == 1


@pytest.mark.parametrize("inclusion", [None, 0.0])
def test_what_has_no_known_probability_is_left_out(inclusion: float | None) -> None:
    found = gathered(decided(inclusion=inclusion))
    assert weigh(found) == []
    assert sum(found.left_out.values()) == 1


def test_items_of_other_categories_are_left_out_and_another_threshold_is_none() -> None:
    other = replace(EVIDENCE, policy=policy(categories={"S1": {}, "S2": {}}))
    found = gathered(replace(decided(), evidence=other), decided())
    assert len(found.resolved) == 1
    assert any("S10" in problem for problem in found.left_out)
    lower = Gathered()
    lower.add(decided(), policy(threshold=0.2))
    assert len(lower.resolved) == 1


@pytest.mark.parametrize(
    ("action", "outcome", "seen", "should_block", "categories"),
    [
        (Action.BLOCK, Outcome.UPHELD, (), True, {"S1"}),
        (Action.BLOCK, Outcome.UPHELD, ("S10",), True, {"S10"}),
        (Action.BLOCK, Outcome.OVERTURNED, (), False, set()),
        (Action.ALLOW, Outcome.UPHELD, (), False, set()),
        (Action.ALLOW, Outcome.OVERTURNED, ("S2",), True, {"S2"}),
        (Action.ALLOW, Outcome.OVERTURNED, (), True, {"S1"}),
    ],
)
def test_an_outcome_says_what_should_have_been(
    action: Action,
    outcome: Outcome,
    seen: tuple[str, ...],
    should_block: bool,
    categories: set[str],
) -> None:
    answered = Answered(decided(outcome=outcome, action=action, seen=seen), 1.0)
    assert answered.should_block == should_block
    assert answered.categories == categories


def test_harm_that_nobody_named_tells_nothing_of_categories() -> None:
    made = replace(decided(outcome=Outcome.OVERTURNED, action=Action.ALLOW).item, codes=())
    assert Answered(Decided(made, EVIDENCE, Outcome.OVERTURNED), 1.0).categories is None
