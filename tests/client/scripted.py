"""A real gRPC server whose answers are functions written in the tests."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2

from guard_service.client.channel import SERVICE
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import moderation_pb2_grpc, review_pb2, review_pb2_grpc

Context = grpc.ServicerContext


def answer(request_id: str, **changes: Any) -> pb.ModerateResponse:
    """A verdict of safe and the action to allow, but for the changes."""
    fields: dict[str, Any] = {
        "action": pb.ACTION_ALLOW,
        "assessment": pb.ASSESSMENT_COMPLETE,
        "verdict": pb.Verdict(unsafe=False, unsafe_score=0.25, label_mass=1.0),
        "policy": "default",
    }
    return pb.ModerateResponse(request_id=request_id, **(fields | changes))


def item(index: int, request: pb.ModerateBatchRequest, **result: Any) -> pb.ModerateBatchResponse:
    result = result or {"response": answer(request.request.request_id)}
    return pb.ModerateBatchResponse(index=index, request_id=request.request.request_id, **result)


def status(code: grpc.StatusCode, message: str, *details: Any) -> status_pb2.Status:
    packed = [any_pb2.Any() for _ in details]
    for each, detail in zip(packed, details, strict=True):
        each.Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


def overloaded() -> status_pb2.Status:
    return status(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "as many as we take",
        error_details_pb2.ErrorInfo(reason="OVERLOADED", domain="guard_service"),
        error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=250_000_000)),
    )


def invalid(field: str, problem: str) -> status_pb2.Status:
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=problem)
    return status(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field}: {problem}",
        error_details_pb2.ErrorInfo(reason="INVALID_REQUEST", domain="guard_service"),
        error_details_pb2.BadRequest(field_violations=[violation]),
    )


def _allow(request: pb.ModerateRequest, _: Context) -> pb.ModerateResponse:
    return answer(request.request_id)


def _allow_each(
    requests: Iterable[pb.ModerateBatchRequest], _: Context
) -> Iterator[pb.ModerateBatchResponse]:
    return (item(index, request) for index, request in enumerate(requests))


class ScriptedService(
    moderation_pb2_grpc.ModerationServiceServicer, review_pb2_grpc.ReviewServiceServicer
):
    """Allows everything until a test says otherwise; keeps the unary requests it saw."""

    def __init__(self) -> None:
        self.seen: list[pb.ModerateRequest] = []
        self.on_moderate: Callable[[pb.ModerateRequest, Context], pb.ModerateResponse] = _allow
        self.on_batch: Callable[
            [Iterator[pb.ModerateBatchRequest], Context], Iterator[pb.ModerateBatchResponse]
        ] = _allow_each
        self.policy_pages: dict[str, pb.ListPoliciesResponse] = {}
        self.review_pages: dict[str, review_pb2.ListReviewItemsResponse] = {}
        self.info = pb.GetServerInfoResponse()

    def Moderate(self, request: pb.ModerateRequest, context: Context) -> pb.ModerateResponse:
        self.seen.append(request)
        return self.on_moderate(request, context)

    def ModerateBatch(
        self, request_iterator: Iterator[pb.ModerateBatchRequest], context: Context
    ) -> Iterator[pb.ModerateBatchResponse]:
        return self.on_batch(request_iterator, context)

    def ListPolicies(self, request: pb.ListPoliciesRequest, _: Context) -> pb.ListPoliciesResponse:
        return self.policy_pages[request.page_token]

    def GetServerInfo(self, _: pb.GetServerInfoRequest, __: Context) -> pb.GetServerInfoResponse:
        return self.info

    def ListReviewItems(
        self, request: review_pb2.ListReviewItemsRequest, _: Context
    ) -> review_pb2.ListReviewItemsResponse:
        return self.review_pages[request.page_token]


class WatchedHealth(health.HealthServicer):
    """Tells when somebody watches; serving from the start."""

    def __init__(self) -> None:
        super().__init__(experimental_non_blocking=True)
        self.watched = threading.Event()
        self.turn(serving=True)

    def turn(self, *, serving: bool) -> None:
        kinds = health_pb2.HealthCheckResponse
        self.set(SERVICE, kinds.SERVING if serving else kinds.NOT_SERVING)

    def Watch(self, *arguments: Any, **more: Any) -> Any:
        self.watched.set()
        return super().Watch(*arguments, **more)

    Watch.experimental_non_blocking = True  # type: ignore[attr-defined]
