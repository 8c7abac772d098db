"""Policies, readings and review items drawn at random, of three categories."""

import random
from dataclasses import replace
from typing import Any

from review_items import item

from guard_service.evidence import Evidence, redecide
from guard_service.policy import Policy
from guard_service.review.item import ReviewItem
from guard_service.review.priority import place_of
from guard_service.sign import TextSign
from guard_service.verdict import Reading

CODES = ("S1", "S2", "S10")


def policy(**values: Any) -> Policy:
    return Policy.model_validate(
        {"id": "p", "version": "2", "categories": {code: {} for code in CODES}} | values
    )


def random_policy(draw: random.Random, **values: Any) -> Policy:
    rules = {
        code: {
            "threshold": draw.choice([None, None, 0.0625, 0.125, 0.25]),
            "action": draw.choice(["allow", "block", "block"]),
        }
        for code in CODES
    }
    review = {
        "band": draw.choice([0, 0.125, 0.25]),
        "sample": draw.choice([0, 0.5, 1]),
        "blocked": draw.random() < 0.5,
    }
    signs = {sign.value: draw.choice(["review", "block"]) for sign in draw.sample([*TextSign], 2)}
    threshold = draw.choice([0.125, 0.25, 0.5, 0.75])
    drawn = {"threshold": threshold, "categories": rules, "review": review, "signs": signs}
    return policy(**drawn | values)


def any_reading(draw: random.Random) -> Reading:
    """Numbers with all their digits, as a model gives them."""
    parts = [draw.random() for _ in CODES]
    listed = tuple(draw.sample(CODES, draw.randrange(3)))
    return Reading(draw.random(), draw.random(), tuple(p / sum(parts) for p in parts), listed)


def decided_item(number: int, evidence: Evidence) -> ReviewItem | None:
    """As the pipeline makes it; None where the policy asks nobody to look."""
    made = item(number)
    verdict, decision = redecide(evidence, evidence.policy, made.request_id)
    if decision.review_reason is None:
        return None
    return replace(
        made,
        reason=decision.review_reason,
        action=decision.action,
        unsafe_score=verdict.unsafe_score,
        codes=tuple(score.category.code for score in verdict.flagged),
        scores={score.category.code: score.score for score in verdict.categories},
        policy=evidence.policy.id,
        policy_version=evidence.policy.version,
        place=place_of(decision, verdict, evidence.policy, {}),
        evidence=evidence,
    )


def random_items(draw: random.Random, num: int) -> list[ReviewItem]:
    policies = [random_policy(draw, version=str(n)) for n in range(3)]
    made = []
    for number in range(num):
        readings = tuple(any_reading(draw) for _ in range(draw.choice([1, 1, 2, 5])))
        signs = frozenset(draw.sample([*TextSign], draw.randrange(3)))
        evidence = Evidence(draw.choice(policies), readings, signs, "m" * 64, "p" * 64)
        made.append(decided_item(number, evidence))
    return [each for each in made if each is not None]
