import random
from typing import Any

import pytest
from random_policies import any_reading, policy, random_policy

from guard_service.decision import decide
from guard_service.evidence import Evidence, redecide, unanswerable
from guard_service.sign import TextSign
from guard_service.verdict import read_verdict

ADDED = {"S15": {"name": "Spam", "description": "Unwanted advertising."}}
WITH_ADDED = {"categories": {"S1": {}} | ADDED}


def test_a_policy_decides_evidence_as_the_path_would_have() -> None:
    draw = random.Random(7)
    for number in range(500):
        readings = tuple(any_reading(draw) for _ in range(draw.choice([1, 1, 3])))
        signs = frozenset(draw.sample([*TextSign], draw.randrange(3)))
        other = random_policy(draw)
        verdict, decision = redecide(Evidence(policy(), readings, signs), other, f"r-{number}")
        assert verdict == read_verdict(readings, other)
        assert decision == decide(verdict, other, f"r-{number}", signs)


@pytest.mark.parametrize(
    ("asked", "values", "problem"),
    [
        ({}, {"categories": {code: {} for code in ("S1", "S2", "S10", "S3")}}, "not asked for S3"),
        ({}, {"categories": {"S1": {}, "S2": {}}}, "asked for S10 too"),
        ({}, {"threshold": 0.4}, "from 0.5 upwards"),
        (
            WITH_ADDED,
            {"categories": {"S1": {}, "S15": {"name": "Spam", "description": "Other words."}}},
            "told other words for S15",
        ),
    ],
)
def test_a_policy_that_the_readings_cannot_answer_is_named(
    asked: dict[str, Any], values: dict[str, Any], problem: str
) -> None:
    assert problem in unanswerable(policy(**values), policy(**asked))


def test_thresholds_actions_and_review_may_all_differ() -> None:
    asked, draw = policy(threshold=0.125), random.Random(3)
    assert [unanswerable(random_policy(draw), asked) for _ in range(50)] == [""] * 50
