"""Every error of the client, and the one table from gRPC's codes to them."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request; never quotes the value."""

    field: str
    problem: str


@dataclass(eq=False)
class GuardError(Exception):
    """The call failed, and nothing was allowed."""

    message: str = ""
    reason: str = ""
    retry_after_s: float | None = None
    violations: tuple[Violation, ...] = ()
    code: StatusCode | None = None  # None: the client itself found the error

    def __str__(self) -> str:
        return self.message or str(self.__doc__)


class InvalidRequest(GuardError):
    """The request cannot be judged as it is: `violations` name the fields to mend."""


class Unauthenticated(GuardError):
    """The server does not know who calls."""


class PermissionDenied(GuardError):
    """The caller may not do this."""


class Conflict(GuardError):
    """Somebody else was first, or it is too late: look again at what is there now."""


class Overloaded(GuardError):
    """The server has as many requests as it takes: try again after `retry_after_s`."""


class QuotaExceeded(GuardError):
    """The caller has used up its share."""


class Unavailable(GuardError):
    """No server answers, after all retries."""


class DeadlineExceeded(GuardError):
    """The answer did not come in time."""


class ServerError(GuardError):
    """The server failed, or its answer means nothing to us."""


_CODES = {code.value[0]: code for code in StatusCode}
_KINDS: dict[StatusCode, type[GuardError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidRequest,
    StatusCode.OUT_OF_RANGE: InvalidRequest,
    StatusCode.NOT_FOUND: InvalidRequest,
    StatusCode.ABORTED: Conflict,
    StatusCode.FAILED_PRECONDITION: Conflict,
    StatusCode.UNAUTHENTICATED: Unauthenticated,
    StatusCode.PERMISSION_DENIED: PermissionDenied,
    StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    StatusCode.UNAVAILABLE: Unavailable,
    # Only a server that stops sends it: what we cancel ourselves never comes back as an error.
    StatusCode.CANCELLED: Unavailable,
    StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}


def refusal(field: str, problem: str) -> InvalidRequest:
    """The error for a field that we refuse before anything is sent."""
    violations = (Violation(field, problem),)
    return InvalidRequest(f"{field}: {problem}", "INVALID_REQUEST", violations=violations)


def unreadable(problem: str) -> ServerError:
    """The error for an answer that must not be acted on."""
    return ServerError(problem, "UNREADABLE_ANSWER")


def error_from_call(call: Any) -> GuardError:
    """The error of a call that failed, with the details that the server sent."""
    status = None
    with suppress(ValueError, DecodeError):  # details that contradict the call itself
        status = rpc_status.from_call(call)
    return error_from_status(
        status or status_pb2.Status(code=call.code().value[0], message=call.details() or "")
    )


def error_from_stream(error: Any, call: Any) -> GuardError:
    """The error of a stream of grpc.aio, where a write that fails as it ends hides how it ended."""
    if error.details() != "Internal error from Core":  # github.com/grpc/grpc/issues/36066
        return error_from_call(error)
    seconds_left = call.time_remaining()
    if seconds_left is not None and seconds_left <= 0:
        return DeadlineExceeded()
    return Unavailable("the stream broke off, and gRPC lost the reason", "STATUS_LOST")


def error_from_status(status: status_pb2.Status) -> GuardError:
    """The error that a google.rpc.Status tells of."""
    code = _CODES.get(status.code, StatusCode.UNKNOWN)
    reason = _detail(status, error_details_pb2.ErrorInfo).reason
    fields = _detail(status, error_details_pb2.BadRequest).field_violations
    quotas = _detail(status, error_details_pb2.QuotaFailure).violations
    delay = _detail(status, error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds()
    kind = QuotaExceeded if quotas else _KINDS.get(code, ServerError)
    if not reason and "larger than max" in status.message:
        kind = InvalidRequest  # gRPC's own refusal of a message: waiting is no help
    violations = [Violation(field.field, field.description) for field in fields]
    violations += [Violation(quota.subject, quota.description) for quota in quotas]
    return kind(status.message, reason, delay or None, tuple(violations), code)


def _detail(status: status_pb2.Status, kind: Any) -> Any:
    """The status's first detail of this kind; an empty one where none can be read."""
    found = kind()
    with suppress(DecodeError):
        any(packed.Unpack(found) for packed in status.details)
    return found
