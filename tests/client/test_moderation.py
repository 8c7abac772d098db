from dataclasses import fields
from typing import Any

import pytest

from client.scripted import answer
from guard_service.client import Action, Assessment, Moderation, ServerError
from guard_service.client.moderation import moderation_from_wire
from guard_service.v1 import moderation_pb2 as pb


def read(**changes: Any) -> Moderation:
    return moderation_from_wire(answer("1", **changes), "1")


def test_only_an_explicit_allow_is_allowed() -> None:
    assert read().is_allowed
    blocked = read(action=pb.ACTION_BLOCK)
    assert blocked.is_blocked and not blocked.is_allowed


def test_an_empty_answer_is_not_an_allowance() -> None:
    with pytest.raises(ServerError):
        moderation_from_wire(pb.ModerateResponse(), "")


@pytest.mark.parametrize(
    "changes",
    [
        {"action": pb.ACTION_UNSPECIFIED},
        {"action": 3},
        {"assessment": pb.ASSESSMENT_UNSPECIFIED},
        {"assessment": 4},
        {"verdict": None},
        {"assessment": pb.ASSESSMENT_UNAVAILABLE},
        {"request_id": "2"},
    ],
)
def test_an_answer_that_means_nothing_is_an_error(changes: dict[str, Any]) -> None:
    wire = answer(changes.pop("request_id", "1"), **changes)
    with pytest.raises(ServerError) as caught:
        moderation_from_wire(wire, "1")
    assert caught.value.reason == "UNREADABLE_ANSWER"


def test_without_the_model_there_is_no_verdict() -> None:
    fallback = read(action=pb.ACTION_BLOCK, assessment=pb.ASSESSMENT_UNAVAILABLE, verdict=None)
    assert fallback.verdict is None and fallback.assessment is Assessment.UNAVAILABLE


def test_flagged_categories_come_strongest_first() -> None:
    scores = [("S1", 0.25, True), ("S2", 0.5, True), ("S3", 0.75, False)]
    verdict = pb.Verdict(
        unsafe=True,
        unsafe_score=0.75,
        categories=[pb.CategoryScore(code=c, score=s, flagged=f) for c, s, f in scores],
    )
    found = read(action=pb.ACTION_BLOCK, verdict=verdict).verdict
    assert found is not None and found.unsafe and found.unsafe_score == 0.75
    assert [score.code for score in found.categories] == ["S1", "S2", "S3"]
    assert [score.code for score in found.flagged] == ["S2", "S1"]


def test_nothing_that_the_server_tells_is_lost() -> None:
    """A field added to the contract is added here too."""
    assert {field.name for field in fields(Moderation)} == set(
        pb.ModerateResponse.DESCRIPTOR.fields_by_name
    )
    found = read(
        review=True,
        review_item_id="r",
        coverage=pb.Coverage(judged_chars=1, total_chars=2, windows=3),
        usage=pb.Usage(prompt_tokens=4, cached_tokens=5),
        timings=pb.Timings(queue_ms=6, inference_ms=7, total_ms=8, batch_size=9),
        policy_version="2",
        model="tiny",
    )
    assert (found.review, found.review_item_id, found.action) == (True, "r", Action.ALLOW)
    assert (found.coverage.total_chars, found.usage.cached_tokens) == (2, 5)
    assert (found.timings.batch_size, found.policy_version, found.model) == (9, "2", "tiny")
