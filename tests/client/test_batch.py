import pytest

from client.scripted import answer, item
from guard_service.client import BatchItem, InvalidRequest, ServerError
from guard_service.client.batch import Ledger
from guard_service.v1 import moderation_pb2 as pb


def test_a_refused_request_is_an_error_whatever_the_server_says() -> None:
    ledger = Ledger()
    sent = ledger.send({"messages": 7, "request_id": "bad"})
    assert sent.request == pb.ModerateRequest(request_id="bad")
    found = ledger.receive(item(0, sent))
    assert isinstance(found.error, InvalidRequest) and found.moderation is None


@pytest.mark.parametrize(("text", "is_sent"), [("äääää", True), ("äääääa", False)])
def test_a_conversation_over_the_servers_limit_is_refused_here(text: str, is_sent: bool) -> None:
    ledger = Ledger(max_conversation_bytes=10)
    sent = ledger.send({"messages": text, "labels": {"chat": "a long label costs nothing"}})
    error = ledger.receive(item(0, sent)).error
    assert bool(sent.request.messages) == (error is None) == is_sent
    assert error is None or error.reason == "CONVERSATION_TOO_LONG"


def test_no_request_is_answered_twice() -> None:
    ledger = Ledger()
    sent = ledger.send("a")
    ledger.receive(item(0, sent))
    with pytest.raises(ServerError, match="0"):
        ledger.receive(item(0, sent))


def test_the_answer_to_another_request_is_never_taken() -> None:
    ledger = Ledger()
    ledger.send("a")
    found = ledger.receive(pb.ModerateBatchResponse(index=0, response=answer("other")))
    assert isinstance(found.error, ServerError)


def test_an_answer_without_a_result_is_an_error() -> None:
    ledger = Ledger()
    ledger.send("a")
    assert isinstance(ledger.receive(pb.ModerateBatchResponse(index=0)).error, ServerError)


def test_the_books_are_settled_only_when_each_request_is_answered() -> None:
    ledger = Ledger()
    sent = ledger.send("a")
    ledger.end()
    with pytest.raises(ServerError, match="1 requests unanswered"):
        ledger.check_settled()
    ledger.receive(item(0, sent))
    ledger.check_settled()


def test_the_result_of_an_item_is_its_moderation_or_its_error() -> None:
    ledger = Ledger()
    assert ledger.receive(item(0, ledger.send("a"))).result().is_allowed
    with pytest.raises(InvalidRequest):
        BatchItem(0, "1", error=InvalidRequest()).result()
