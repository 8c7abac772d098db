from conversations import policy

from guard_service.decision import ReviewReason, decide
from guard_service.policy import Action
from guard_service.verdict import Reading, Verdict, read_verdict

QUIET = {"band": 0.0, "sample": 0.0, "blocked": False}


def verdict(score: float, *listed: str, **values: object) -> Verdict:
    return read_verdict([Reading(score, 1.0, (1.0, 0.0), listed)], _policy(**values))


def _policy(**values: object) -> object:
    return policy(**{"categories": {"S1": {}, "S2": {}}, "review": QUIET, **values})


def test_safe_is_allowed_and_nobody_looks() -> None:
    decision = decide(verdict(0.1), _policy(), "r")
    assert decision.action is Action.ALLOW
    assert not decision.needs_review


def test_unsafe_is_blocked() -> None:
    assert decide(verdict(0.9, "S1"), _policy(), "r").action is Action.BLOCK


def test_a_category_that_is_allowed_is_let_through_and_looked_at() -> None:
    values = {"categories": {"S1": {"action": "allow"}, "S2": {}}}
    decision = decide(verdict(0.9, "S1", **values), _policy(**values), "r")
    assert decision.action is Action.ALLOW
    assert decision.review_reason is ReviewReason.FLAGGED


def test_one_blocking_category_is_enough() -> None:
    values = {"categories": {"S1": {"action": "allow"}, "S2": {}}}
    decision = decide(verdict(0.9, "S1", "S2", **values), _policy(**values), "r")
    assert decision.action is Action.BLOCK


def test_unsafe_without_any_category_is_blocked() -> None:
    assert decide(verdict(0.9), _policy(), "r").action is Action.BLOCK


def test_scores_near_the_threshold_are_looked_at_on_both_sides() -> None:
    near = {"review": QUIET | {"band": 0.1}}
    for score in (0.41, 0.59):
        decision = decide(verdict(score, **near), _policy(**near), "r")
        assert decision.review_reason is ReviewReason.UNCERTAIN
    assert not decide(verdict(0.39, **near), _policy(**near), "r").needs_review


def test_blocked_ones_are_looked_at_where_the_policy_says_so() -> None:
    blocked = {"review": QUIET | {"blocked": True}}
    decision = decide(verdict(0.99, "S1", **blocked), _policy(**blocked), "r")
    assert decision.review_reason is ReviewReason.BLOCKED


def test_sampling_draws_its_share_and_draws_a_request_the_same_way_twice() -> None:
    sampled = _policy(review=QUIET | {"sample": 0.1})
    draws = [decide(verdict(0.0), sampled, f"request-{n}").needs_review for n in range(5000)]
    again = [decide(verdict(0.0), sampled, f"request-{n}").needs_review for n in range(5000)]
    assert draws == again
    assert 400 < sum(draws) < 600
