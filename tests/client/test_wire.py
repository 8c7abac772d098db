from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from client.scripted import answer
from google.protobuf import timestamp_pb2

from guard_service import client
from guard_service.client.wire import from_wire, moderation_from_wire
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2


def read(**changes: Any) -> client.Moderation:
    return moderation_from_wire(answer("1", **changes), "1")


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        *((name, getattr(pb, name)) for name in ("Verdict", "Coverage", "Usage", "Timings")),
        *((name, getattr(pb, name)) for name in ("CategoryScore", "Policy", "PolicyCategory")),
        ("Moderation", pb.ModerateResponse),
        ("ServerInfo", pb.GetServerInfoResponse),
        ("Limits", pb.Limits),
        ("ReviewItem", review_pb2.ReviewItem),
    ],
)
def test_nothing_that_the_server_tells_is_lost(name: str, wire: Any) -> None:
    """A field added to the contract is added here too; a category's code says its number."""
    ours = {field.name for field in fields(getattr(client, name))} - {"is_default"}
    assert ours == set(wire.DESCRIPTOR.fields_by_name) - {"category"}


WORDS = ["Action", "Assessment", "Judge", "Role", "OnUnavailable", "ReviewReason", "TextSign"]


@pytest.mark.parametrize("name", WORDS)
def test_each_member_has_its_word(name: str) -> None:
    ours, wire = getattr(client, name), getattr(pb, name, None) or review_pb2.ReviewReason
    theirs = {
        word.removeprefix(wire.Name(0).removesuffix("UNSPECIFIED")) for word, _ in wire.items()
    }
    assert {member.name for member in ours} - {"UNKNOWN"} == theirs - {"UNSPECIFIED"}


def test_a_moderation_is_read_whole() -> None:
    scores = [("S1", 0.25, True), ("S2", 0.5, True), ("S3", 0.75, False)]
    categories = [pb.CategoryScore(code=c, score=s, flagged=f) for c, s, f in scores]
    found = read(
        action=pb.ACTION_BLOCK,
        review=True,
        verdict=pb.Verdict(unsafe=True, unsafe_score=0.75, categories=categories),
        coverage=pb.Coverage(judged_chars=1, total_chars=2, windows=3),
        timings=pb.Timings(queue_ms=6, batch_size=9),
        model="tiny",
        text_signs=[pb.TEXT_SIGN_ROLE, 99],
    )
    assert found.is_blocked and not found.is_allowed and found.review
    assert (found.coverage, found.timings.batch_size) == (client.Coverage(1, 2, 3), 9)
    assert (found.assessment, found.model) == (client.Assessment.COMPLETE, "tiny")
    assert found.text_signs == (client.TextSign.ROLE, client.TextSign.UNKNOWN)
    assert found.verdict is not None and found.verdict.unsafe_score == 0.75
    assert [score.code for score in found.verdict.categories] == ["S1", "S2", "S3"]
    assert [score.code for score in found.verdict.flagged] == ["S2", "S1"]


def test_without_the_model_there_is_no_verdict() -> None:
    fallback = read(action=pb.ACTION_BLOCK, assessment=pb.ASSESSMENT_UNAVAILABLE, verdict=None)
    assert fallback.is_blocked and fallback.verdict is None


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
        {"action": None, "assessment": None, "verdict": None},
    ],
)
def test_an_answer_that_means_nothing_is_an_error(changes: dict[str, Any]) -> None:
    wire = answer(**({"request_id": "1"} | changes))
    with pytest.raises(client.ServerError) as caught:
        moderation_from_wire(wire, "1")
    assert caught.value.reason == "UNREADABLE_ANSWER"


def test_a_category_without_a_threshold_follows_the_base_decision() -> None:
    categories = [
        pb.PolicyCategory(code="S1", action=pb.ACTION_BLOCK),
        pb.PolicyCategory(code="S2", action=pb.ACTION_ALLOW, threshold=0.0),
    ]
    wire = pb.Policy(on_unavailable=pb.ON_UNAVAILABLE_ERROR, categories=categories)
    policy = from_wire(client.Policy, wire, is_default=False)
    assert policy.on_unavailable is client.OnUnavailable.ERROR
    assert [category.threshold for category in policy.categories] == [None, 0.0]


def test_a_review_item_is_read_whole() -> None:
    wire = review_pb2.ReviewItem(
        created_at=timestamp_pb2.Timestamp(seconds=60),
        reason=review_pb2.REVIEW_REASON_SAMPLED,
        action=pb.ACTION_BLOCK,
        judged_role=pb.ROLE_ASSISTANT,
        codes=["S1"],
        unsafe_score=0.25,
        labels={"chat": "secret"},
    )
    item = from_wire(client.ReviewItem, wire)
    assert item.created_at == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert (item.reason, item.action) == (client.ReviewReason.SAMPLED, client.Action.BLOCK)
    assert (item.judged_role, item.codes) == (client.Role.ASSISTANT, ("S1",))
    assert item.labels == {"chat": "secret"} and "secret" not in repr(item)
    assert item.unsafe_score == 0.25
    wire.ClearField("unsafe_score")  # the fallback was used
    assert from_wire(client.ReviewItem, wire).unsafe_score is None
    wire.reason = 99  # newer than this client
    assert from_wire(client.ReviewItem, wire).reason is client.ReviewReason.UNKNOWN
    wire.action = 99
    with pytest.raises(client.ServerError):
        from_wire(client.ReviewItem, wire)
