import pytest
from conversations import policy

from guard_service.decision import Decision, ReviewReason
from guard_service.policy import Action
from guard_service.review.item import Lane
from guard_service.review.priority import NUM_LEVELS, by_urgency, level_of, place_of, weight_of
from guard_service.verdict import Reading, read_verdict

BLOCKED = Decision(Action.BLOCK, ReviewReason.BLOCKED)


def level(score: float, code: str = "S1", **review: object) -> int:
    chosen = policy(categories={code: {}}, review=review)
    verdict = read_verdict([Reading(score, 1.0, (1.0,), (code,))], chosen)
    return place_of(BLOCKED, verdict, chosen, {}).level


def test_what_is_uncertain_goes_before_what_is_sure() -> None:
    assert level(0.55) > level(0.8) > level(0.99)


def test_what_harms_more_goes_first_and_the_policy_may_say_what_that_is() -> None:
    assert level(0.7, "S4") > level(0.7, "S5")
    assert level(0.7, "S5", severity={"S5": 10}) == level(0.7, "S4")


@pytest.mark.parametrize("number", range(NUM_LEVELS))
def test_a_level_holds_what_weighs_as_much_as_it_says(number: int) -> None:
    assert level_of(weight_of(number) * 1.01) == number


def test_an_old_item_overtakes_a_heavier_one() -> None:
    assert by_urgency({4: 0, 5: 900}, now_ms=1000) == [4, 5]
    assert by_urgency({4: 0, 5: 100}, now_ms=1000) == [5, 4]


def test_the_policy_asks_for_two_looks_and_for_texts_by_category() -> None:
    chosen = policy(
        categories={"S1": {}, "S4": {}}, review={"second_look": ["S4"], "keep_text_days": 2}
    )
    verdict = read_verdict([Reading(0.9, 1.0, (0.1, 0.9), ("S4",))], chosen)
    place = place_of(BLOCKED, verdict, chosen, {"language": "th"})
    assert (place.looks_wanted, place.category, place.language) == (2, "S4", "th")
    assert place.keep_text_s == 2 * 24 * 3600


def test_sampled_items_wait_in_the_random_lane_and_unjudged_ones_are_most_uncertain() -> None:
    sampled = Decision(Action.ALLOW, ReviewReason.SAMPLED)
    unjudged = Decision(Action.BLOCK, ReviewReason.UNAVAILABLE)
    assert place_of(sampled, None, policy(), {}).lane is Lane.RANDOM
    assert place_of(unjudged, None, policy(), {}).level == level_of(1.0)
