from dataclasses import replace
from datetime import UTC, datetime

import pytest
from conversations import conversation, policy

from guard_service.api import reply
from guard_service.api.reply import policy_message, response_from_outcome, review_item_message
from guard_service.conversation import Judge, Role
from guard_service.decision import Decision, ReviewReason
from guard_service.encoding.window import Coverage
from guard_service.pipeline import Assessment, Outcome
from guard_service.policy import Action, OnUnavailable
from guard_service.review.item import Outcome as ReviewOutcome
from guard_service.review.item import ReviewItem
from guard_service.sign import TextSign
from guard_service.usage import Timings, Usage
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2
from guard_service.verdict import Reading, read_verdict
from guard_service.view import View

EXTRA = {"name": "Spoilers", "description": "Gives away the end."}
POLICY = policy(categories={"S1": {"threshold": 0.2}, "S10": {"action": "allow"}, "S15": EXTRA})
VERDICT = read_verdict([Reading(0.8, 0.99, (0.5, 0.25, 0.25), ("S10", "S15"))], POLICY)
OUTCOME = Outcome(
    request_id="r",
    policy=POLICY,
    model="m",
    decision=Decision(Action.BLOCK, ReviewReason.BLOCKED),
    assessment=Assessment.PARTIAL,
    verdict=VERDICT,
    coverage=Coverage(5, 9, 2),
    usage=Usage(300, 200),
    timings=Timings(1.0, 2.0, 4.0, 8),
    review_item_id="i",
    signs=frozenset({TextSign.LOOKALIKE, TextSign.ROLE}),
    worst=View(conversation("a", "b"), 1, is_cleaned=True),
)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Action, pb.Action),
        (Assessment, pb.Assessment),
        (OnUnavailable, pb.OnUnavailable),
        (Role, pb.Role),
        (ReviewReason, review_pb2.ReviewReason),
        (TextSign, pb.TextSign),
        (Judge, pb.Judge),
        (ReviewOutcome, review_pb2.Outcome),
    ],
)
def test_every_member_of_ours_has_its_name_on_the_wire_and_the_other_way_round(
    ours: type, theirs: object
) -> None:
    names = {reply.wire_name(member) for member in ours}
    assert names == {n for n in theirs.keys() if not n.endswith("UNSPECIFIED")}  # type: ignore[attr-defined]  # noqa: SIM118


def test_a_response_carries_all_of_the_outcome() -> None:
    response = response_from_outcome(OUTCOME)
    assert response.action == pb.ACTION_BLOCK
    assert response.assessment == pb.ASSESSMENT_PARTIAL
    assert (response.review, response.review_item_id) == (True, "i")
    assert (response.coverage.judged_chars, response.coverage.total_chars) == (5, 9)
    assert (response.usage.prompt_tokens, response.usage.cached_tokens) == (300, 200)
    assert response.timings.batch_size == 8
    assert (response.verdict.message, response.verdict.cleaned) == (1, True)
    assert response.text_signs == [pb.TEXT_SIGN_ROLE, pb.TEXT_SIGN_LOOKALIKE]
    assert (response.policy, response.policy_version, response.model) == ("test", "1", "m")


def test_categories_keep_the_order_of_the_prompt_and_added_ones_have_no_number() -> None:
    categories = response_from_outcome(OUTCOME).verdict.categories
    assert [(c.category, c.code, c.name) for c in categories] == [
        (pb.HAZARD_CATEGORY_VIOLENT_CRIMES, "S1", "Violent Crimes"),
        (pb.HAZARD_CATEGORY_HATE, "S10", "Hate"),
        (pb.HAZARD_CATEGORY_UNSPECIFIED, "S15", "Spoilers"),
    ]
    assert [c.flagged for c in categories] == [True, True, True]
    assert sum(c.score for c in categories) == pytest.approx(0.8)


def test_without_a_verdict_there_is_none_on_the_wire() -> None:
    outcome = replace(OUTCOME, verdict=None, coverage=None, assessment=Assessment.UNAVAILABLE)
    response = response_from_outcome(outcome)
    assert response.assessment == pb.ASSESSMENT_UNAVAILABLE
    assert not response.HasField("verdict")


def test_a_policy_tells_its_thresholds_and_which_categories_have_none() -> None:
    message = policy_message(POLICY)
    assert message.digest == POLICY.digest
    assert [c.HasField("threshold") for c in message.categories] == [True, False, False]
    assert message.categories[1].action == pb.ACTION_ALLOW
    assert message.on_unavailable == pb.ON_UNAVAILABLE_ERROR


def test_a_review_item_keeps_its_time_and_labels() -> None:
    item = ReviewItem(
        id="i",
        request_id="r",
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        reason=ReviewReason.UNCERTAIN,
        action=Action.ALLOW,
        judged_role=Role.TOOL,
        unsafe_score=0.5,
        codes=("S10", "S1"),
        policy="p",
        policy_version="1",
        model="m",
        conversation_digest="d",
        labels={"a": "b"},
    )
    message = review_item_message(item)
    assert message.created_at.ToDatetime(tzinfo=UTC) == item.created_at
    assert message.reason == review_pb2.REVIEW_REASON_UNCERTAIN
    assert (list(message.codes), dict(message.labels)) == (["S10", "S1"], {"a": "b"})
