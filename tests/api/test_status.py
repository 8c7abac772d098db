import inspect
import logging

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from guard_service import errors
from guard_service.api.status import DOMAIN, abort, to_status
from guard_service.errors import (
    AuditBroken,
    GuardError,
    ScreeningRefused,
    ScreeningStopped,
    StartupRefused,
    Violation,
)

OF_COMMANDS = StartupRefused, ScreeningRefused, ScreeningStopped, AuditBroken
ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, GuardError) and not issubclass(kind, OF_COMMANDS)
]


def detail(status: status_pb2.Status, kind: type) -> object | None:
    found = kind()
    return next((found for packed in status.details if packed.Unpack(found)), None)


@pytest.mark.parametrize("kind", [k for k in ALL if k is not GuardError], ids=lambda k: k.__name__)
def test_every_error_of_a_call_has_a_code_and_a_reason(kind: type[GuardError]) -> None:
    status = to_status(kind())
    info = detail(status, error_details_pb2.ErrorInfo)
    assert status.code not in (0, grpc.StatusCode.UNKNOWN.value[0])
    assert info.domain == DOMAIN  # type: ignore[union-attr]
    assert info.reason.isupper()  # type: ignore[union-attr]
    assert info.reason != "INTERNAL"  # type: ignore[union-attr]


def test_violations_name_their_fields() -> None:
    error = errors.InvalidRequest((Violation("messages[3].role", "must be one of ..."),))
    request = detail(to_status(error), error_details_pb2.BadRequest)
    (violation,) = request.field_violations  # type: ignore[union-attr]
    assert violation.field == "messages[3].role"


def test_overload_says_when_to_come_back() -> None:
    status = to_status(errors.Overloaded())
    retry = detail(status, error_details_pb2.RetryInfo)
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert retry.retry_delay.ToMilliseconds() == 250  # type: ignore[union-attr]


def test_a_quota_says_which_limit_and_never_too_early_a_time() -> None:
    waits = errors.Exhausted("tokens_per_minute", 10, 2.0001), errors.Exhausted("x", 1, 0.5)
    status = to_status(errors.QuotaExceeded("acme", waits))
    failure = detail(status, error_details_pb2.QuotaFailure)
    retry = detail(status, error_details_pb2.RetryInfo)
    assert [v.subject for v in failure.violations] == ["acme: tokens_per_minute", "acme: x"]  # type: ignore[union-attr]
    assert retry.retry_delay.ToMilliseconds() == 2001  # type: ignore[union-attr]


def test_a_bug_is_internal_and_its_text_stays_here(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    secret = " ".join(["what", "the", "user", "wrote"])
    try:
        raise KeyError(secret)
    except KeyError as error:
        status = to_status(error)
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert secret not in status.SerializeToString().decode(errors="replace")
    assert secret not in caplog.text
    assert "test_status.py" in caplog.text  # but where it happened is logged


async def test_overload_pushes_the_retries_of_grpc_itself_back() -> None:
    class Context:
        metadata: tuple[tuple[str, str | bytes], ...] = ()

        async def abort(self, _: object, __: str, metadata: tuple[tuple[str, bytes], ...]) -> None:
            self.metadata = metadata

    told = Context()
    await abort(told, errors.Overloaded())  # type: ignore[arg-type]
    assert ("grpc-retry-pushback-ms", "250") in told.metadata
    await abort(told, errors.EngineUnavailable())  # type: ignore[arg-type]
    assert len(told.metadata) == 1
