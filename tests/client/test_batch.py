"""What both clients promise of batches, first on a server, then in their books."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from client.scripted import ScriptedService, answer, collect, item, overloaded

from guard_service import client
from guard_service.client.batch import MAX_IN_FLIGHT, Ledger
from guard_service.v1 import moderation_pb2 as pb

Asked = Iterator[pb.ModerateBatchRequest]
Answered = Iterator[pb.ModerateBatchResponse]


def test_each_request_is_answered_in_any_order(guard: Any, service: ScriptedService) -> None:
    def reverse(requests: Asked, _: Any) -> Answered:
        return (item(index, request) for index, request in reversed(list(enumerate(requests))))

    service.on_batch = reverse
    asked = ["a", [{"role": "user", "content": "b"}], client.ModerationRequest("c", request_id="3")]
    items, error = collect(guard.moderate_batch(asked))
    assert error is None
    assert [each.index for each in items] == [2, 1, 0]
    assert items[0].request_id == "3"
    assert all(each.result().is_allowed for each in items)


def test_a_bad_item_gets_its_own_error_and_the_batch_lives_on(guard: Any) -> None:
    asked = ["a", client.ModerationRequest([], request_id="bad"), 7, "d"]
    items, error = collect(guard.moderate_batch(asked))
    assert error is None
    assert [each.index for each in items if each.moderation is None] == [1, 2]
    assert items[1].request_id == "bad"
    with pytest.raises(client.InvalidRequest):
        items[1].result()


def test_an_item_error_of_the_server_has_the_same_details_as_a_call(
    guard: Any, service: ScriptedService
) -> None:
    service.on_batch = lambda requests, _: (
        item(index, request, error=overloaded()) for index, request in enumerate(requests)
    )
    error = next(guard.moderate_batch(["a"])).error
    assert isinstance(error, client.Overloaded)
    assert (error.reason, error.retry_after_s) == ("OVERLOADED", 0.25)


def test_a_message_larger_than_grpc_receives_ends_the_stream(guard: Any) -> None:
    _, error = collect(guard.moderate_batch(["x" * 5_000_000]))
    # Unavailable where grpc.aio lost the status: see error_from_stream.
    assert isinstance(error, client.InvalidRequest | client.Unavailable)


def test_requests_are_read_only_so_far_ahead_of_the_answers(
    guard: Any, service: ScriptedService
) -> None:
    pulled, seen = itertools.count(), []

    def hold(requests: Asked, _: Any) -> Answered:
        held = list(itertools.islice(requests, MAX_IN_FLIGHT))
        seen.append(next(pulled))
        yield from (item(index, each) for index, each in enumerate(itertools.chain(held, requests)))

    service.on_batch = hold
    stream = guard.moderate_batch("text" for _ in pulled)
    assert len(list(itertools.islice(stream, 300))) == 300
    stream.close()
    assert seen[0] <= MAX_IN_FLIGHT + 1
    assert next(pulled) <= 300 + MAX_IN_FLIGHT + 3


def test_an_answer_comes_before_the_next_request_is_given(target: str) -> None:
    def asked() -> Iterator[str]:
        yield "first"
        assert answered.wait(5)
        yield "second"

    answered = threading.Event()
    with client.GuardClient(target) as guard:
        for _ in guard.moderate_batch(asked()):
            answered.set()


def test_a_broken_stream_raises_after_what_arrived(guard: Any, service: ScriptedService) -> None:
    def break_off(requests: Asked, context: Any) -> Answered:
        yield from (item(n, next(requests)) for n in range(2))
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    service.on_batch = break_off
    items, error = collect(guard.moderate_batch("text" for _ in itertools.count()))
    assert [each.index for each in items] == [0, 1]
    assert isinstance(error, client.Unavailable)


def test_a_stream_that_ends_early_is_an_error(guard: Any, service: ScriptedService) -> None:
    service.on_batch = lambda requests, _: iter([item(0, next(requests))])
    items, error = collect(guard.moderate_batch(["a", "b", "c"]))
    assert len(items) == 1
    # Unavailable where grpc.aio lost the status: see error_from_stream.
    assert isinstance(error, client.ServerError | client.Unavailable)


def test_an_error_of_the_callers_iterable_comes_back_after_what_was_answered(guard: Any) -> None:
    def asked() -> Iterator[str]:
        yield "a"
        raise LookupError("the file ends in the middle")

    items, error = collect(guard.moderate_batch(asked()))
    assert len(items) == 1
    assert isinstance(error, LookupError)


def test_an_empty_batch_has_no_answers(guard: Any) -> None:
    assert collect(guard.moderate_batch([])) == ([], None)


def test_a_refused_request_is_an_error_whatever_the_server_says() -> None:
    ledger = Ledger()
    sent = ledger.send([])
    assert sent.request == pb.ModerateRequest()
    assert isinstance(ledger.receive(item(0, sent)).error, client.InvalidRequest)


def test_no_request_is_answered_twice() -> None:
    ledger = Ledger()
    sent = ledger.send("a")
    ledger.receive(item(0, sent))
    with pytest.raises(client.ServerError, match="0"):
        ledger.receive(item(0, sent))


@pytest.mark.parametrize("result", [{"response": answer("other")}, {}])
def test_what_is_not_the_answer_to_this_request_is_an_error(result: Any) -> None:
    ledger = Ledger()
    ledger.send("a")
    found = ledger.receive(pb.ModerateBatchResponse(index=0, **result))
    assert isinstance(found.error, client.ServerError) and found.moderation is None


def test_the_books_are_settled_only_when_all_is_sent_and_answered() -> None:
    ledger = Ledger()
    sent = ledger.send("a")
    ledger.failure = None
    with pytest.raises(client.ServerError, match="1 requests unanswered"):
        ledger.check_settled()
    ledger.receive(item(0, sent))
    ledger.check_settled()
    with pytest.raises(client.ServerError, match="before all was sent"):
        Ledger().check_settled()
