"""The caller's trace goes on to the server, and nothing breaks where there is none."""

import subprocess
import sys
from typing import Any

import grpc
import pytest
from client.scripted import ScriptedService, answer, item
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider

from guard_service.v1 import moderation_pb2 as pb


@pytest.fixture
def seen(service: ScriptedService) -> list[dict[str, Any]]:
    """The metadata of each call, as the server gets it."""
    seen: list[dict[str, Any]] = []

    def moderate(request: pb.ModerateRequest, call: grpc.ServicerContext) -> pb.ModerateResponse:
        seen.append(dict(call.invocation_metadata()))
        return answer(request.request_id)

    def moderate_batch(requests: Any, call: grpc.ServicerContext) -> Any:
        seen.append(dict(call.invocation_metadata()))
        return (item(index, request) for index, request in enumerate(requests))

    service.on_moderate, service.on_batch = moderate, moderate_batch
    return seen


def test_calls_and_streams_carry_the_trace_and_no_baggage(
    guard: Any, seen: list[dict[str, Any]]
) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    token = context.attach(baggage.set_baggage("user", "bob"))
    with tracer.start_as_current_span("generate") as span:
        guard.moderate("hello")
        list(guard.moderate_batch(["hello"]))
    context.detach(token)
    trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    assert [metadata["traceparent"].split("-")[1] for metadata in seen] == [trace_id] * 2
    assert not any("baggage" in metadata for metadata in seen)


def test_without_a_span_nothing_is_carried(guard: Any, seen: list[dict[str, Any]]) -> None:
    guard.moderate("hello")
    assert "traceparent" not in seen[0]


def test_the_client_needs_no_opentelemetry() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from guard_service.client.trace import trace_metadata\n"
        "import guard_service.client\n"
        "assert trace_metadata() == ()"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
