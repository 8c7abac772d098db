"""The one table from our errors to gRPC status, for unary and streaming calls alike."""

import logging
import math
import traceback

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from guard_service import errors
from guard_service.sight import journey, metrics

log = logging.getLogger(__name__)

DOMAIN = "guard_service"

# The first class that fits; whatever else happens is our fault and is INTERNAL.
_TABLE: tuple[tuple[type[Exception], grpc.StatusCode, str], ...] = (
    (errors.MalformedRequest, grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST"),
    (errors.ConversationTooLong, grpc.StatusCode.INVALID_ARGUMENT, "CONVERSATION_TOO_LONG"),
    (errors.PolicyUnknown, grpc.StatusCode.INVALID_ARGUMENT, "POLICY_UNKNOWN"),
    (errors.PromptQuarantined, grpc.StatusCode.INVALID_ARGUMENT, "PROMPT_QUARANTINED"),
    (errors.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    (errors.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    (errors.Forbidden, grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN"),
    (errors.ReviewItemUnknown, grpc.StatusCode.NOT_FOUND, "REVIEW_ITEM_UNKNOWN"),
    (errors.CursorUnknown, grpc.StatusCode.OUT_OF_RANGE, "CURSOR_UNKNOWN"),
    (errors.ClaimLost, grpc.StatusCode.ABORTED, "CLAIM_LOST"),
    (errors.NotResolved, grpc.StatusCode.FAILED_PRECONDITION, "NOT_RESOLVED"),
    (errors.NotAppealable, grpc.StatusCode.FAILED_PRECONDITION, "NOT_APPEALABLE"),
    (errors.ReviewItemState, grpc.StatusCode.FAILED_PRECONDITION, "REVIEW_ITEM_STATE"),
    (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    (errors.QuotaExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"),
    (errors.DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_UNMET"),
    (errors.EngineUnavailable, grpc.StatusCode.UNAVAILABLE, "ENGINE_UNAVAILABLE"),
    (errors.StoreUnavailable, grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE"),
    (errors.ReadingRejected, grpc.StatusCode.INTERNAL, "READING_REJECTED"),
)

# Counted from 0 on, for the alerts.
for _reason in (*(reason for *_, reason in _TABLE), "INTERNAL"):
    metrics.REFUSALS.labels(_reason)


def to_status(error: Exception) -> status_pb2.Status:
    """The status that a caller sees; the text of an error that is not ours stays here."""
    for kind, code, reason in _TABLE:
        if isinstance(error, kind):
            journey.refused(code.name, reason)
            return _status(code, reason, str(error), *_details(error))
    # Frames and type alone: the error's own text may quote what a user wrote.
    frames = "".join(traceback.format_tb(error.__traceback__))
    extra = {"action": "internal_error", "error": type(error).__name__}
    log.error("internal error\n%s", frames, extra=extra)
    journey.refused("INTERNAL", "INTERNAL")
    return _status(grpc.StatusCode.INTERNAL, "INTERNAL", "internal error")


async def abort(context: "grpc.aio.ServicerContext[bytes, Message]", error: Exception) -> None:
    """End the call with the error's status and details."""
    status = to_status(error)
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    metadata = [("grpc-status-details-bin", status.SerializeToString())]
    if isinstance(error, errors.Overloaded | errors.QuotaExceeded):  # gRPC's own retries wait
        metadata.append(("grpc-retry-pushback-ms", str(round(error.retry_after_s * 1000))))
    await context.abort(code, status.message, tuple(metadata))


def _details(error: Exception) -> list[Message]:
    if isinstance(error, errors.InvalidRequest):
        violation = error_details_pb2.BadRequest.FieldViolation
        violations = [violation(field=v.field, description=v.problem) for v in error.violations]
        return [error_details_pb2.BadRequest(field_violations=violations)]
    if isinstance(error, errors.QuotaExceeded):
        return [_quota_failure(error), _retry_info(error.retry_after_s)]
    if isinstance(error, errors.Overloaded):
        return [_retry_info(error.retry_after_s)]
    return []


def _quota_failure(error: errors.QuotaExceeded) -> Message:
    violation = error_details_pb2.QuotaFailure.Violation
    violations = [
        violation(
            subject=f"{error.tenant}: {each.budget}",
            description=f"{each.limit} are used up; this fits in {each.retry_after_s:.1f} s",
        )
        for each in error.exhausted
    ]
    failure: Message = error_details_pb2.QuotaFailure(violations=violations)
    return failure


def _retry_info(seconds: float) -> Message:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(math.ceil(seconds * 1000))  # never too early
    info: Message = error_details_pb2.RetryInfo(retry_delay=delay)
    return info


def _status(
    code: grpc.StatusCode, reason: str, message: str, *details: Message
) -> status_pb2.Status:
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in (error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN), *details):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status
