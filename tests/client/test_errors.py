import pickle
from functools import partial
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from client.scripted import overloaded, status
from google.rpc import error_details_pb2, status_pb2

from guard_service import client
from guard_service.client.errors import error_from_call, error_from_status, refusal


def failed_call(code: grpc.StatusCode, details: str, *trailers: Any) -> Any:
    answers = {"code": code, "details": details, "trailing_metadata": trailers}
    return SimpleNamespace(**{name: partial(lambda x: x, each) for name, each in answers.items()})


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_each_code_has_a_class(code: grpc.StatusCode) -> None:
    expected = {
        "INVALID_ARGUMENT": client.InvalidRequest,
        "OUT_OF_RANGE": client.InvalidRequest,
        "NOT_FOUND": client.InvalidRequest,
        "ABORTED": client.Conflict,
        "FAILED_PRECONDITION": client.Conflict,
        "UNAUTHENTICATED": client.Unauthenticated,
        "PERMISSION_DENIED": client.PermissionDenied,
        "RESOURCE_EXHAUSTED": client.Overloaded,
        "UNAVAILABLE": client.Unavailable,
        "CANCELLED": client.Unavailable,
        "DEADLINE_EXCEEDED": client.DeadlineExceeded,
    }
    error = error_from_status(status(code, "because"))
    assert type(error) is expected.get(code.name, client.ServerError)
    assert (error.code, error.message, str(error)) == (code, "because", "because")


def test_a_code_that_does_not_exist_is_the_servers_fault() -> None:
    error = error_from_status(status_pb2.Status(code=99))
    assert isinstance(error, client.ServerError)
    assert (error.code, str(error)) == (grpc.StatusCode.UNKNOWN, client.ServerError.__doc__)


def test_a_used_up_quota_is_not_overload() -> None:
    quota = error_details_pb2.QuotaFailure.Violation(subject="key:7", description="1000 a day")
    detail = error_details_pb2.QuotaFailure(violations=[quota])
    error = error_from_status(status(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", detail))
    assert isinstance(error, client.QuotaExceeded)
    assert error.violations == (client.Violation("key:7", "1000 a day"),)


def test_a_message_too_large_for_grpc_is_the_callers_to_mend() -> None:
    message = "SERVER: Received message larger than max (9 vs. 4)"
    error = error_from_call(failed_call(grpc.StatusCode.RESOURCE_EXHAUSTED, message))
    assert isinstance(error, client.InvalidRequest)


def test_all_details_are_read_and_a_broken_one_hides_no_other() -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="policy", description="unknown")
    detail = error_details_pb2.BadRequest(field_violations=[violation])
    sent = status(grpc.StatusCode.INVALID_ARGUMENT, "no", detail)
    sent.details.extend(overloaded().details)
    error = error_from_status(sent)
    assert (error.reason, error.retry_after_s) == ("OVERLOADED", 0.25)
    assert error.violations == (client.Violation("policy", "unknown"),)
    sent.details[0].value = b"\xff"
    error = error_from_status(sent)
    assert (error.reason, error.violations) == ("OVERLOADED", ())


@pytest.mark.parametrize(
    "details", [b"\xff\xff", status(grpc.StatusCode.NOT_FOUND, "other").SerializeToString()]
)
def test_details_that_cannot_be_believed_are_left_out(details: bytes) -> None:
    trailer = ("grpc-status-details-bin", details)
    error = error_from_call(failed_call(grpc.StatusCode.UNAVAILABLE, "gone", trailer))
    assert isinstance(error, client.Unavailable)
    assert error.message == "gone"


def test_an_error_survives_pickle() -> None:
    error = refusal("messages", "must hold at least one message")
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), vars(twin)) == (str(error), vars(error))
