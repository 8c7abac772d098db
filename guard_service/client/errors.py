"""Every error of the client, and the one table from gRPC's codes to them.

GuardError              code, reason, message, retry_after_s, violations
├── InvalidRequest      mend the request: `violations` name the fields
├── Unauthenticated     show who you are
├── PermissionDenied    this caller may not
├── Overloaded          try again after `retry_after_s`
├── QuotaExceeded       this caller has used up its share
├── Unavailable         nobody answers, after all retries
├── DeadlineExceeded    no answer in time
└── ServerError         the server failed, or its answer means nothing to us
"""

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request; never quotes the value."""

    field: str
    problem: str


class GuardError(Exception):
    """The call failed, and nothing was allowed."""

    default_code = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str | None = None,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        retry_after_s: float | None = None,
        violations: tuple[Violation, ...] = (),
    ) -> None:
        self.message = message or type(self).__doc__ or ""
        self.code = code or self.default_code
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.violations = violations
        super().__init__(self.message)


class InvalidRequest(GuardError):
    """The request cannot be judged as it is."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


class Unauthenticated(GuardError):
    """The server does not know who calls."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(GuardError):
    """The caller may not do this."""

    default_code = grpc.StatusCode.PERMISSION_DENIED


class Overloaded(GuardError):
    """The server has as many requests as it takes."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class QuotaExceeded(GuardError):
    """The caller has used up its share."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(GuardError):
    """No server answers now."""

    default_code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(GuardError):
    """The answer did not come in time."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class ServerError(GuardError):
    """The server failed, or its answer cannot be trusted."""

    default_code = grpc.StatusCode.INTERNAL


_CODES = {code.value[0]: code for code in grpc.StatusCode}
_KINDS: dict[grpc.StatusCode, type[GuardError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    # Only a server that stops sends it: what we cancel ourselves never comes back as an error.
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}


def refusal(field: str, problem: str, reason: str = "INVALID_REQUEST") -> InvalidRequest:
    """The error for a field that we refuse before anything is sent."""
    violations = (Violation(field, problem),)
    return InvalidRequest(f"{field}: {problem}", reason=reason, violations=violations)


def unreadable(problem: str) -> ServerError:
    """The error for an answer that must not be acted on."""
    return ServerError(problem, reason="UNREADABLE_ANSWER")


def error_from_call(call: Any) -> GuardError:
    """The error of a call that failed, with the details that the server sent."""
    try:
        status = rpc_status.from_call(call)
    except (ValueError, DecodeError):  # details that contradict the call itself: only it counts
        status = None
    return error_from_status(
        status or status_pb2.Status(code=call.code().value[0], message=call.details() or "")
    )


def error_from_status(status: status_pb2.Status) -> GuardError:
    """The error that a google.rpc.Status tells of."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    reason = _detail(status, error_details_pb2.ErrorInfo).reason
    fields = _detail(status, error_details_pb2.BadRequest).field_violations
    quotas = _detail(status, error_details_pb2.QuotaFailure).violations
    delay = _detail(status, error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds()
    violations = [Violation(field.field, field.description) for field in fields]
    violations += [Violation(quota.subject, quota.description) for quota in quotas]
    kind = QuotaExceeded if quotas else _kind(code, reason, status.message)
    return kind(
        status.message,
        code=code,
        reason=reason,
        retry_after_s=delay or None,
        violations=tuple(violations),
    )


def _kind(code: grpc.StatusCode, reason: str, message: str) -> type[GuardError]:
    # gRPC's own refusal of a too large message has this code and no reason: waiting is no help.
    is_ours = bool(reason) or code is not grpc.StatusCode.RESOURCE_EXHAUSTED
    if not is_ours and "larger than max" in message:
        return InvalidRequest
    return _KINDS.get(code, ServerError)


def _detail(status: status_pb2.Status, kind: Any) -> Any:
    """The status's first detail of this kind, or an empty one."""
    found = kind()
    for packed in status.details:
        try:
            if packed.Unpack(found):
                return found
        except DecodeError:
            continue
    return kind()
