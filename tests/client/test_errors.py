import copy
import pickle
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from client.scripted import invalid, overloaded, status
from guard_service import client
from guard_service.client.errors import error_from_call, error_from_status, refusal

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


class FailedCall:
    def __init__(self, code: grpc.StatusCode, details: str, trailers: Any = ()) -> None:
        self._code, self._details, self._trailers = code, details, trailers

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailers


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_each_code_has_a_class(code: grpc.StatusCode) -> None:
    expected = {
        "INVALID_ARGUMENT": client.InvalidRequest,
        "OUT_OF_RANGE": client.InvalidRequest,
        "NOT_FOUND": client.InvalidRequest,
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
    assert error.code is grpc.StatusCode.UNKNOWN


def test_a_used_up_quota_is_not_overload() -> None:
    quota = error_details_pb2.QuotaFailure.Violation(subject="key:7", description="1000 a day")
    detail = error_details_pb2.QuotaFailure(violations=[quota])
    error = error_from_status(status(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", detail))
    assert isinstance(error, client.QuotaExceeded)
    assert error.violations == (client.Violation("key:7", "1000 a day"),)


def test_a_message_too_large_for_grpc_is_the_callers_to_mend() -> None:
    message = "SERVER: Received message larger than max (9 vs. 4)"
    error = error_from_call(FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, message))
    assert isinstance(error, client.InvalidRequest)


def test_all_details_are_read() -> None:
    error = error_from_status(overloaded())
    assert (error.reason, error.retry_after_s) == ("OVERLOADED", 0.25)
    error = error_from_status(invalid("policy", "unknown"))
    assert error.violations == (client.Violation("policy", "unknown"),)


@pytest.mark.parametrize(
    "trailer", [b"\xff\xff", status(grpc.StatusCode.NOT_FOUND, "other").SerializeToString()]
)
def test_details_that_cannot_be_believed_are_left_out(trailer: bytes) -> None:
    trailers = (("grpc-status-details-bin", trailer),)
    error = error_from_call(FailedCall(grpc.StatusCode.UNAVAILABLE, "gone", trailers))
    assert isinstance(error, client.Unavailable)
    assert error.message == "gone"


def test_a_detail_that_cannot_be_read_hides_no_other() -> None:
    broken = status_pb2.Status(code=8, details=[any_pb2.Any(type_url=ERROR_INFO, value=b"\xff")])
    broken.details.extend(overloaded().details)
    assert error_from_status(broken).reason == "OVERLOADED"


def test_an_error_survives_pickle_and_copy() -> None:
    error = refusal("messages", "must hold at least one message")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (twin.code, twin.violations) == (error.code, error.violations)
