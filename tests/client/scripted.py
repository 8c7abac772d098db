"""A real gRPC server whose answers are functions written in the tests."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from guard_service.client import BatchItem
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import moderation_pb2_grpc, review_pb2_grpc

SERVICE = pb.DESCRIPTOR.services_by_name["ModerationService"].full_name


def answer(request_id: str, **changes: Any) -> pb.ModerateResponse:
    """A verdict of safe and the action to allow, but for the changes."""
    fields: dict[str, Any] = {
        "action": pb.ACTION_ALLOW,
        "assessment": pb.ASSESSMENT_COMPLETE,
        "verdict": pb.Verdict(unsafe=False, unsafe_score=0.25, label_mass=1.0),
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


def collect(stream: Iterable[BatchItem]) -> tuple[list[BatchItem], Exception | None]:
    """All items of a batch, and what it raised after them."""
    items: list[BatchItem] = []
    try:
        for each in stream:
            items.append(each)
    except Exception as error:
        return items, error
    return items, None


class ScriptedService(
    moderation_pb2_grpc.ModerationServiceServicer, review_pb2_grpc.ReviewServiceServicer
):
    """Allows everything until a test says otherwise; keeps the unary requests it saw."""

    def __init__(self) -> None:
        self.seen: list[pb.ModerateRequest] = []
        self.on_moderate: Any = lambda request, _: answer(request.request_id)
        self.on_batch: Any = lambda requests, _: (item(n, each) for n, each in enumerate(requests))
        self.pages: dict[str, Any] = {}
        self.info = pb.GetServerInfoResponse()

    def Moderate(self, request: pb.ModerateRequest, context: Any) -> pb.ModerateResponse:
        self.seen.append(request)
        return self.on_moderate(request, context)

    def ModerateBatch(self, request_iterator: Any, context: Any) -> Any:
        return self.on_batch(request_iterator, context)

    def ListPolicies(self, request: Any, _: Any) -> Any:
        return self.pages[request.page_token]

    def ListReviewItems(self, request: Any, _: Any) -> Any:
        return self.pages[request.page_token]

    def GetServerInfo(self, _: Any, __: Any) -> pb.GetServerInfoResponse:
        return self.info
