from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import timestamp_pb2

from guard_service.client import (
    Action,
    Limits,
    OnUnavailable,
    Policy,
    PolicyCategory,
    ReviewItem,
    ReviewReason,
    Role,
    ServerError,
    ServerInfo,
)
from guard_service.client.catalogue import policies_from_wire, review_items_from_wire
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2


@pytest.mark.parametrize(
    ("ours", "wire", "differing"),
    [
        (Policy, pb.Policy, {"is_default"}),
        (PolicyCategory, pb.PolicyCategory, {"category"}),  # its code says it
        (ServerInfo, pb.GetServerInfoResponse, set()),
        (Limits, pb.Limits, set()),
        (ReviewItem, review_pb2.ReviewItem, set()),
    ],
)
def test_nothing_that_the_server_tells_is_lost(ours: Any, wire: Any, differing: set[str]) -> None:
    names = {field.name for field in fields(ours)}
    assert names ^ set(wire.DESCRIPTOR.fields_by_name) == differing


def test_a_category_without_a_threshold_follows_the_base_decision() -> None:
    categories = [
        pb.PolicyCategory(code="S1", action=pb.ACTION_BLOCK),
        pb.PolicyCategory(code="S2", action=pb.ACTION_ALLOW, threshold=0.0),
    ]
    wire = pb.Policy(id="a", on_unavailable=pb.ON_UNAVAILABLE_ERROR, categories=categories)
    (policy,) = policies_from_wire(pb.ListPoliciesResponse(policies=[wire], default_policy="b"))
    assert policy.on_unavailable is OnUnavailable.ERROR and not policy.is_default
    assert [category.threshold for category in policy.categories] == [None, 0.0]


def review_item(**changes: Any) -> ReviewItem:
    wire = review_pb2.ReviewItem(
        created_at=timestamp_pb2.Timestamp(seconds=60),
        reason=review_pb2.REVIEW_REASON_SAMPLED,
        action=pb.ACTION_BLOCK,
        judged_role=pb.ROLE_ASSISTANT,
        codes=["S1"],
        labels={"chat": "secret"},
    )
    wire.MergeFrom(review_pb2.ReviewItem(**changes))
    (item,) = review_items_from_wire(review_pb2.ListReviewItemsResponse(items=[wire]))
    return item


def test_a_review_item_is_read_whole() -> None:
    item = review_item()
    assert item.created_at == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    assert (item.reason, item.action, item.judged_role) == (
        ReviewReason.SAMPLED,
        Action.BLOCK,
        Role.ASSISTANT,
    )
    assert (item.codes, item.labels) == (("S1",), {"chat": "secret"})
    assert "secret" not in repr(item)


def test_a_reason_newer_than_the_client_is_unknown() -> None:
    assert review_item(reason=99).reason is ReviewReason.UNKNOWN


def test_an_action_newer_than_the_client_is_an_error() -> None:
    with pytest.raises(ServerError):
        review_item(action=99)
