"""A second call, waiting when refused, and answers while no server gives one."""

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from client.conftest import Blocking
from client.scripted import ScriptedService, answer, overloaded
from grpc_status import rpc_status

from guard_service.client import (
    Action,
    Assessment,
    GuardClient,
    GuardError,
    InvalidRequest,
    OnUnavailable,
    Overloaded,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
)
from guard_service.client.attempt import Attempts, HedgeBudget
from guard_service.v1 import moderation_pb2 as pb

FACES = pytest.mark.parametrize("face", [GuardClient, Blocking], ids=["sync", "aio"])


@pytest.fixture
def connect(target: str) -> Iterator[Any]:
    clients: list[Any] = []

    def connect(face: Any, **chosen: Any) -> Any:
        clients.append(face(chosen.pop("target", target), **chosen))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


class FirstWaits:
    """Answers every call but the first, which waits to be cancelled."""

    def __init__(self) -> None:
        self.num_calls = 0
        self.first_left = threading.Event()

    def __call__(self, request: pb.ModerateRequest, context: grpc.ServicerContext) -> Any:
        self.num_calls += 1
        if self.num_calls == 1:
            context.add_callback(self.first_left.set)
            self.first_left.wait(10)
        return answer(request.request_id)


class SecondFails(FirstWaits):
    """Answers the first call once the second one has ended with an error."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__()
        self._code, self._second_left = code, threading.Event()

    def __call__(self, request: pb.ModerateRequest, context: grpc.ServicerContext) -> Any:
        self.num_calls += 1
        if self.num_calls == 1:
            self._second_left.wait(10)
            return answer(request.request_id)
        context.add_callback(self._second_left.set)
        return context.abort(self._code, "the second")


def in_credit(client: Any, service: ScriptedService) -> Any:
    """The client once it has had the ten answers that pay for one second call."""
    for _ in range(10):
        client.moderate("hello")
    service.seen.clear()
    return client


@FACES
def test_a_second_call_answers_while_the_first_one_waits_and_that_one_is_cancelled(
    connect: Any, face: Any, service: ScriptedService
) -> None:
    client = in_credit(connect(face, hedge_after=0.05), service)
    service.on_moderate = waits = FirstWaits()
    assert client.moderate("hello", request_id="mine").is_allowed
    assert [seen.request_id for seen in service.seen] == ["mine", "mine"]
    assert waits.first_left.wait(5)


@FACES
@pytest.mark.parametrize("name", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL"])
def test_a_call_of_two_that_fails_does_not_end_the_other(
    connect: Any, face: Any, service: ScriptedService, name: str
) -> None:
    options = {"grpc.enable_retries": 0}
    client = in_credit(connect(face, hedge_after=0.05, options=options), service)
    service.on_moderate = fails = SecondFails(grpc.StatusCode[name])
    assert client.moderate("hello").is_allowed
    assert fails.num_calls == 2


@FACES
def test_two_calls_that_fail_are_an_error(
    connect: Any, face: Any, service: ScriptedService
) -> None:
    client = in_credit(connect(face, hedge_after=1e-6), service)
    service.on_moderate = lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
    with pytest.raises(Unauthenticated):
        client.moderate("hello")


@FACES
def test_calls_are_not_doubled_beyond_their_share(
    connect: Any, face: Any, service: ScriptedService
) -> None:
    client = connect(face, hedge_after=1e-6)  # before any answer
    for _ in range(30):
        client.moderate("hello")
    assert 30 <= len(service.seen) <= 33
    service.on_moderate = lambda _, context: context.abort(grpc.StatusCode.INTERNAL, "broken")
    service.seen.clear()
    for _ in range(30):
        with suppress(GuardError):
            client.moderate("hello")
    assert len(service.seen) <= 33  # what fails earns nothing


def test_a_budget_is_a_tenth_of_the_answers_and_bounded() -> None:
    budget = HedgeBudget()
    assert not budget.spend()
    for _ in range(19):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, False, False]
    for _ in range(1000):
        budget.earn()
    assert sum(budget.spend() for _ in range(1000)) == 10


def test_a_batch_is_never_doubled(connect: Any, service: ScriptedService) -> None:
    client, streams = in_credit(connect(GuardClient, hedge_after=1e-6), service), []
    answers = service.on_batch
    service.on_batch = lambda requests, context: streams.append(1) or answers(requests, context)
    assert len(list(client.moderate_batch(["a", "b"]))) == 2
    assert streams == [1]


@FACES
def test_a_refused_call_comes_back_when_the_server_says_so_where_that_was_chosen(
    connect: Any, face: Any, service: ScriptedService
) -> None:
    def refuse_twice(request: pb.ModerateRequest, context: grpc.ServicerContext) -> Any:
        if len(service.seen) <= 2:
            context.abort_with_status(rpc_status.to_status(overloaded()))
        return answer(request.request_id)

    service.on_moderate = refuse_twice
    assert connect(face, wait_when_refused=True).moderate("hello").is_allowed
    assert len({seen.request_id for seen in service.seen}) == 1


def test_there_are_three_waits_at_most_and_none_beyond_the_deadline() -> None:
    attempts, error = Attempts(wait_when_refused=True), QuotaExceeded(retry_after_s=2.0)
    assert 2.0 <= attempts.wait_s(error, 2, left_s=60) <= 2.5
    for num_waits, left_s in ((3, 60.0), (0, 2.0), (0, -1.0)):
        with pytest.raises(QuotaExceeded):
            attempts.wait_s(error, num_waits, left_s)
    with pytest.raises(Overloaded):  # the server did not say when
        attempts.wait_s(Overloaded(), 0, left_s=60)
    with pytest.raises(QuotaExceeded):
        Attempts().wait_s(error, 0, left_s=60)


@FACES
@pytest.mark.parametrize("offline", ["allow", "block"])
def test_without_a_server_the_answer_is_what_was_chosen_and_no_verdict(
    connect: Any, face: Any, offline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(face, target="127.0.0.1:1", offline=offline)
    with caplog.at_level(logging.WARNING):
        found = client.moderate("a secret", request_id="mine", policy="strict")
    assert (found.request_id, found.policy) == ("mine", "strict")
    assert found.is_allowed is (offline == "allow") and found.is_blocked is (offline == "block")
    assert found.assessment is Assessment.UNAVAILABLE and found.verdict is None
    (record,) = caplog.records
    assert record.action == "answered_offline" and "secret" not in caplog.text  # type: ignore[attr-defined]


@FACES
def test_without_a_server_the_default_is_the_error(connect: Any, face: Any) -> None:
    with pytest.raises(Unavailable):
        connect(face, target="127.0.0.1:1").moderate("hello")


@FACES
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, GuardError),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Overloaded),
        (grpc.StatusCode.INTERNAL, GuardError),
    ],
)
def test_what_a_server_refuses_is_never_answered_offline(
    connect: Any, face: Any, service: ScriptedService, status: grpc.StatusCode, error: Any
) -> None:
    service.on_moderate = lambda _, context: context.abort(status, "no")
    client = connect(face, offline="allow")
    client.wait_until_ready()  # a connection that is slow to come may be answered offline
    with pytest.raises(error):
        client.moderate("hello")


def test_an_answer_that_means_nothing_is_never_answered_offline(
    connect: Any, service: ScriptedService
) -> None:
    service.on_moderate = lambda request, _: answer("another")
    with pytest.raises(GuardError, match="another request"):
        connect(GuardClient, offline="allow").moderate("hello")


def test_a_request_can_only_make_the_offline_answer_stricter() -> None:
    def answered(chosen: Any, asked: OnUnavailable) -> Action:
        number = pb.OnUnavailable.Value(f"ON_UNAVAILABLE_{asked.name}")
        request = pb.ModerateRequest(on_unavailable=number)
        return Attempts(offline=chosen).answer_offline(Unavailable(), request).action

    assert answered("allow", OnUnavailable.BLOCK) is Action.BLOCK
    assert answered("block", OnUnavailable.ALLOW) is Action.BLOCK
    for chosen, asked in (("allow", OnUnavailable.ERROR), ("raise", OnUnavailable.ALLOW)):
        with pytest.raises(Unavailable):
            answered(chosen, asked)


def test_a_verdict_that_the_server_withheld_is_not_made_up_for() -> None:
    error = Unavailable(reason="STORE_UNAVAILABLE")
    with pytest.raises(Unavailable):
        Attempts(offline="allow").answer_offline(error, pb.ModerateRequest())


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="hedge_after"):
        GuardClient("localhost:1", hedge_after=0)
    with pytest.raises(InvalidRequest, match="offline"):
        GuardClient("localhost:1", offline="maybe")  # type: ignore[arg-type]
