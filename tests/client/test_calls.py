"""The promises that sync.py and aio.py share, each tested on both."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from client.scripted import ScriptedService, WatchedHealth, answer, invalid, item, overloaded
from guard_service import client
from guard_service.client.batch import MAX_IN_FLIGHT
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2


async def test_a_text_is_one_user_message(guard: Any, service: ScriptedService) -> None:
    result = await guard.moderate("hello")
    assert result.is_allowed and not result.is_blocked
    assert service.seen[0].messages == [pb.Message(role=pb.ROLE_USER, content="hello")]


async def test_everything_asked_reaches_the_server(guard: Any, service: ScriptedService) -> None:
    await guard.moderate(
        [{"role": "user", "content": "hello"}],
        policy="strict",
        request_id="mine",
        on_unavailable=client.OnUnavailable.ERROR,
        labels={"chat": "7"},
    )
    seen = service.seen[0]
    assert (seen.policy, seen.request_id, dict(seen.labels)) == ("strict", "mine", {"chat": "7"})
    assert seen.on_unavailable == pb.ON_UNAVAILABLE_ERROR


async def test_unavailable_is_tried_again_under_the_same_id(
    guard: Any, service: ScriptedService
) -> None:
    def fail_twice(request: pb.ModerateRequest, context: grpc.ServicerContext) -> Any:
        if len(service.seen) <= 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return answer(request.request_id)

    service.on_moderate = fail_twice
    result = await guard.moderate("hello")
    assert len(service.seen) == 3
    assert {seen.request_id for seen in service.seen} == {result.request_id}
    assert len(result.request_id) == 32


async def test_an_overloaded_server_is_not_asked_again(
    guard: Any, service: ScriptedService
) -> None:
    service.on_moderate = lambda _, context: context.abort_with_status(
        rpc_status.to_status(overloaded())
    )
    with pytest.raises(client.Overloaded) as caught:
        await guard.moderate("hello")
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_after_s == 0.25
    assert len(service.seen) == 1


async def test_violations_of_the_server_reach_the_caller(
    guard: Any, service: ScriptedService
) -> None:
    status = rpc_status.to_status(invalid("policy", "is not one of ours"))
    service.on_moderate = lambda _, context: context.abort_with_status(status)
    with pytest.raises(client.InvalidRequest) as caught:
        await guard.moderate("hello", policy="no")
    assert caught.value.violations == (client.Violation("policy", "is not one of ours"),)


async def test_a_passed_deadline_is_its_own_error(guard: Any, service: ScriptedService) -> None:
    def never(_: pb.ModerateRequest, context: grpc.ServicerContext) -> pb.ModerateResponse:
        left = threading.Event()
        context.add_callback(left.set)
        left.wait(5)
        return pb.ModerateResponse()

    service.on_moderate = never
    with pytest.raises(client.DeadlineExceeded):
        await guard.moderate("hello", timeout=0.2)


async def test_each_call_has_a_deadline(guard: Any, service: ScriptedService) -> None:
    left: list[float] = []

    def note(request: pb.ModerateRequest, context: grpc.ServicerContext) -> pb.ModerateResponse:
        left.append(context.time_remaining())
        return answer(request.request_id)

    service.on_moderate = note
    await guard.moderate("hello")
    assert 0 < left[0] <= 10


async def test_a_server_that_cancels_is_unavailable(guard: Any, service: ScriptedService) -> None:
    service.on_moderate = lambda _, context: context.abort(grpc.StatusCode.CANCELLED, "stopping")
    with pytest.raises(client.Unavailable):
        await guard.moderate("hello")


@pytest.mark.parametrize("action", [pb.ACTION_UNSPECIFIED, 99])
async def test_an_unknown_action_never_allows(
    guard: Any, service: ScriptedService, action: int
) -> None:
    service.on_moderate = lambda request, _: answer(request.request_id, action=action)
    with pytest.raises(client.ServerError):
        await guard.moderate("hello")


async def test_a_bad_shape_is_refused_before_anything_is_sent(
    guard: Any, service: ScriptedService
) -> None:
    with pytest.raises(client.InvalidRequest):
        await guard.moderate([{"role": "user", "content": 7}])
    assert not service.seen


async def test_a_batch_answers_each_request_in_any_order(
    guard: Any, service: ScriptedService
) -> None:
    def reverse(
        requests: Iterator[pb.ModerateBatchRequest], _: grpc.ServicerContext
    ) -> Iterator[pb.ModerateBatchResponse]:
        for index, request in reversed(list(enumerate(requests))):
            yield item(index, request)

    service.on_batch = reverse
    asked = ["a", [{"role": "user", "content": "b"}], client.ModerationRequest("c", request_id="3")]
    items, error = await guard.batch(asked)
    assert error is None
    assert [each.index for each in items] == [2, 1, 0]
    assert items[0].request_id == "3"
    assert all(each.result().is_allowed for each in items)


async def test_a_bad_item_gets_its_own_error_and_the_batch_lives_on(guard: Any) -> None:
    asked = ["a", {"messages": 7, "request_id": "bad"}, {"messages": "c"}, None]
    items, error = await guard.batch(asked)
    assert error is None
    by_index = {each.index: each for each in items}
    assert by_index[1].request_id == "bad"
    assert isinstance(by_index[1].error, client.InvalidRequest) and by_index[1].moderation is None
    assert isinstance(by_index[3].error, client.InvalidRequest)
    assert by_index[0].result().is_allowed and by_index[2].result().is_allowed


async def test_an_item_far_too_large_does_not_end_the_batch(
    guard: Any, service: ScriptedService
) -> None:
    service.info = pb.GetServerInfoResponse(limits=pb.Limits(max_conversation_bytes=1000))
    items, error = await guard.batch(["x" * 5_000_000, "a"])  # gRPC itself takes 4 MiB
    assert error is None
    assert {each.index: type(each.error) for each in items} == {
        0: client.InvalidRequest,
        1: type(None),
    }


async def test_an_item_error_of_the_server_has_the_same_details_as_a_call(
    guard: Any, service: ScriptedService
) -> None:
    service.on_batch = lambda requests, _: (
        item(index, request, error=overloaded()) for index, request in enumerate(requests)
    )
    items, _ = await guard.batch(["a"])
    error = items[0].error
    assert isinstance(error, client.Overloaded)
    assert (error.reason, error.retry_after_s) == ("OVERLOADED", 0.25)


async def test_a_batch_reads_its_requests_only_so_far_ahead(
    guard: Any, service: ScriptedService
) -> None:
    pulled = itertools.count()
    asked = ("text" for _ in pulled)
    items, _ = await guard.batch(asked, most=300)
    assert len(items) == 300
    assert next(pulled) <= 300 + MAX_IN_FLIGHT + 2


async def test_a_server_that_holds_its_answers_is_not_flooded(
    guard: Any, service: ScriptedService
) -> None:
    pulled = itertools.count()
    seen: list[int] = []

    def hold(
        requests: Iterator[pb.ModerateBatchRequest], _: grpc.ServicerContext
    ) -> Iterator[pb.ModerateBatchResponse]:
        held = list(itertools.islice(requests, MAX_IN_FLIGHT))
        seen.append(next(pulled))
        yield from (item(index, request) for index, request in enumerate(held))
        yield from (item(MAX_IN_FLIGHT + index, each) for index, each in enumerate(requests))

    service.on_batch = hold
    items, error = await guard.batch("text" for _ in itertools.takewhile(lambda n: n < 900, pulled))
    assert error is None and len(items) == 899
    assert seen[0] <= MAX_IN_FLIGHT + 1


async def test_a_broken_stream_raises_after_what_arrived(
    guard: Any, service: ScriptedService
) -> None:
    def break_off(
        requests: Iterator[pb.ModerateBatchRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ModerateBatchResponse]:
        yield from (item(n, next(requests)) for n in range(2))
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    service.on_batch = break_off
    items, error = await guard.batch("text" for _ in itertools.count())
    assert [each.index for each in items] == [0, 1]
    assert isinstance(error, client.Unavailable)


async def test_a_stream_that_ends_early_is_an_error(guard: Any, service: ScriptedService) -> None:
    service.on_batch = lambda requests, _: iter([item(0, next(requests))])
    items, error = await guard.batch(["a", "b", "c"])
    assert len(items) == 1
    # Unavailable where grpc.aio lost the status: see _stream_error.
    assert isinstance(error, client.ServerError | client.Unavailable)


async def test_an_error_of_the_callers_iterable_comes_back_after_what_was_answered(
    guard: Any,
) -> None:
    def asked() -> Iterator[str]:
        yield "a"
        raise LookupError("the file ends in the middle")

    items, error = await guard.batch(asked())
    assert len(items) == 1
    assert isinstance(error, LookupError)


async def test_an_empty_batch_has_no_answers(guard: Any) -> None:
    assert await guard.batch([]) == ([], None)


async def test_policies_of_all_pages_are_listed(guard: Any, service: ScriptedService) -> None:
    policies = [
        pb.Policy(id=name, on_unavailable=pb.ON_UNAVAILABLE_BLOCK) for name in ("default", "strict")
    ]
    page = pb.ListPoliciesResponse
    service.policy_pages = {
        "": page(policies=policies[:1], next_page_token="more", default_policy="default"),
        "more": page(policies=policies[1:], default_policy="default"),
    }
    listed = await guard.list_policies()
    assert [(policy.id, policy.is_default) for policy in listed] == [
        ("default", True),
        ("strict", False),
    ]


async def test_review_items_of_all_pages_are_listed(guard: Any, service: ScriptedService) -> None:
    items = [
        review_pb2.ReviewItem(id=name, action=pb.ACTION_BLOCK, judged_role=pb.ROLE_USER, reason=1)
        for name in ("new", "old")
    ]
    page = review_pb2.ListReviewItemsResponse
    service.review_pages = {
        "": page(items=items[:1], next_page_token="more"),
        "more": page(items=items[1:]),
    }
    assert [each.id for each in await guard.list_review_items()] == ["new", "old"]


async def test_server_info_tells_the_model(guard: Any, service: ScriptedService) -> None:
    limits = pb.Limits(max_messages=9)
    service.info = pb.GetServerInfoResponse(model="tiny", development_model=True, limits=limits)
    found = await guard.server_info()
    assert (found.model, found.development_model, found.limits.max_messages) == ("tiny", True, 9)


async def test_waiting_ends_when_the_service_turns_serving(
    guard: Any, server_health: WatchedHealth
) -> None:
    server_health.turn(serving=False)

    def turn() -> None:
        assert server_health.watched.wait(5)
        server_health.turn(serving=True)

    turning = threading.Thread(target=turn)
    turning.start()
    await guard.wait_until_ready(timeout=5)
    turning.join()
    assert (await guard.moderate("hello")).is_allowed


async def test_waiting_for_a_service_that_does_not_serve_ends_in_time(
    guard: Any, server_health: WatchedHealth
) -> None:
    server_health.turn(serving=False)
    with pytest.raises(client.DeadlineExceeded):
        await guard.wait_until_ready(timeout=0.2)


async def test_no_call_goes_to_a_server_that_says_it_does_not_serve(
    guard: Any, service: ScriptedService, server_health: WatchedHealth
) -> None:
    server_health.turn(serving=False)
    with pytest.raises(client.Unavailable):
        await guard.moderate("hello")
    assert not service.seen
