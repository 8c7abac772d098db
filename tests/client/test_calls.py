"""What both clients promise of single calls and lists."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import pytest
from client.scripted import SERVICE, ScriptedService, answer, overloaded
from grpc_health.v1 import health, health_pb2
from grpc_status import rpc_status

from guard_service import client
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2


def test_everything_asked_reaches_the_server(guard: Any, service: ScriptedService) -> None:
    result = guard.moderate(
        "hello",
        policy="strict",
        request_id="mine",
        on_unavailable=client.OnUnavailable.ERROR,
        labels={"chat": "7"},
        judge=client.Judge.ALL,
    )
    assert result.is_allowed and not result.is_blocked
    assert service.seen == [
        pb.ModerateRequest(
            messages=[pb.Message(role=pb.ROLE_USER, content="hello")],
            policy="strict",
            request_id="mine",
            on_unavailable=pb.ON_UNAVAILABLE_ERROR,
            labels={"chat": "7"},
            judge=pb.JUDGE_ALL,
        )
    ]


def test_unavailable_is_tried_again_under_the_same_id(guard: Any, service: ScriptedService) -> None:
    def fail_twice(request: pb.ModerateRequest, context: grpc.ServicerContext) -> Any:
        if len(service.seen) <= 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return answer(request.request_id)

    service.on_moderate = fail_twice
    result = guard.moderate("hello")
    assert [seen.request_id for seen in service.seen] == [result.request_id] * 3
    assert len(result.request_id) == 32


def test_an_overloaded_server_is_not_asked_again(guard: Any, service: ScriptedService) -> None:
    status = rpc_status.to_status(overloaded())
    service.on_moderate = lambda _, context: context.abort_with_status(status)
    with pytest.raises(client.Overloaded) as caught:
        guard.moderate("hello")
    assert (caught.value.reason, caught.value.retry_after_s) == ("OVERLOADED", 0.25)
    assert len(service.seen) == 1


def test_each_call_has_a_deadline(guard: Any, service: ScriptedService) -> None:
    left: list[float] = []

    def wait(request: pb.ModerateRequest, context: grpc.ServicerContext) -> pb.ModerateResponse:
        left.append(context.time_remaining())
        if left[0] < 1:
            ended = threading.Event()
            context.add_callback(ended.set)
            ended.wait(5)
        return answer(request.request_id)

    service.on_moderate = wait
    guard.moderate("hello")
    assert 1 < left.pop() < 11
    with pytest.raises(client.DeadlineExceeded):
        guard.moderate("hello", timeout=0.2)


def test_a_bad_shape_is_refused_before_anything_is_sent(
    guard: Any, service: ScriptedService
) -> None:
    with pytest.raises(client.InvalidRequest):
        guard.moderate([{"role": "user", "content": 7}])
    assert not service.seen


def test_all_pages_are_listed(guard: Any, service: ScriptedService) -> None:
    def policy(name: str) -> pb.Policy:
        return pb.Policy(id=name, on_unavailable=pb.ON_UNAVAILABLE_BLOCK)

    def item(name: str) -> review_pb2.ReviewItem:
        return review_pb2.ReviewItem(id=name, action=pb.ACTION_BLOCK, judged_role=pb.ROLE_USER)

    page: Any = partial(pb.ListPoliciesResponse, default_policy="a")
    first = page(policies=[policy("a")], next_page_token="more")
    service.pages = {"": first, "more": page(policies=[policy("b")])}
    listed = [(each.id, each.is_default) for each in guard.list_policies()]
    assert listed == [("a", True), ("b", False)]
    page = review_pb2.ListReviewItemsResponse
    service.pages = {"": page(items=[item("c")], next_page_token="m"), "m": page(items=[item("d")])}
    assert [each.id for each in guard.list_review_items(page_size=1)] == ["c", "d"]


def test_server_info_tells_the_model(guard: Any, service: ScriptedService) -> None:
    limits = pb.Limits(max_messages=9)
    service.info = pb.GetServerInfoResponse(model="tiny", development_model=True, limits=limits)
    found = guard.server_info()
    assert (found.model, found.development_model, found.limits.max_messages) == ("tiny", True, 9)


def test_a_service_that_does_not_serve_is_waited_for_and_not_asked(
    guard: Any, service: ScriptedService, server_health: health.HealthServicer
) -> None:
    server_health.set(SERVICE, health_pb2.HealthCheckResponse.NOT_SERVING)
    with pytest.raises(client.DeadlineExceeded):
        guard.wait_until_ready(timeout=0.2)
    with pytest.raises(client.Unavailable):
        guard.moderate("hello")
    assert not service.seen
    server_health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    guard.wait_until_ready(timeout=5)
    assert guard.moderate("hello").is_allowed


def test_threads_may_share_a_client(target: str) -> None:
    with client.GuardClient(target) as guard, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(guard.moderate, ["a"] * 16))
    assert len({result.request_id for result in results}) == 16
