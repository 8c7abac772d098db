"""What a running server shows of itself: and never what people wrote, nor a secret."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from credentials import entry, write_access
from known import HARM, HARMLESS
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from serving import Served, serving

from guard_service.access.key import make_key
from guard_service.client import GuardClient, GuardError, OnUnavailable
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import moderation_pb2_grpc

CANARY = "xylophone-canary-7461"
SECRET = "sk-swordfish-9c1e"
TRACE = "ab" * 16


class Collector(HTTPServer):
    """Takes spans over OTLP, as a collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Take(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


def show(served: Served) -> str:
    with urlopen(f"{served.metrics}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def request(text: str, **fields: Any) -> pb.ModerateRequest:
    message = pb.Message(role=pb.ROLE_USER, content=text)
    return pb.ModerateRequest(messages=[message], **fields)


def ask_in_every_way(served: Served, key: str) -> list[str]:
    """The canary in every field, secrets in the metadata; what the errors say."""
    traced = ("traceparent", f"00-{TRACE}-{'cd' * 8}-01")
    metadata = (("authorization", f"Bearer {key}"), ("x-api-key", SECRET), traced)
    errors = []
    with grpc.insecure_channel(served.target) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        asked = request(f"{HARM} {CANARY}", request_id=CANARY, labels={CANARY: CANARY})
        assert stub.Moderate(asked, timeout=60, metadata=metadata).request_id == CANARY
        role = pb.Message(role=pb.ROLE_SYSTEM, content=CANARY)
        refused = (
            request(CANARY, policy=CANARY),
            request(CANARY * 20_000),
            request(CANARY, request_id=CANARY * 20),
            request(CANARY, labels={CANARY * 20: CANARY}),
            pb.ModerateRequest(messages=[role], request_id=CANARY),
            request(CANARY, on_unavailable=pb.ON_UNAVAILABLE_ALLOW),
        )
        for bad in refused:
            with pytest.raises(grpc.RpcError) as error:
                stub.Moderate(bad, timeout=60, metadata=metadata)
            errors.append(f"{error.value.details()} {error.value.trailing_metadata()}")
        with pytest.raises(grpc.RpcError):
            stub.Moderate(asked, timeout=0.002, metadata=metadata)
        for wrong in (SECRET, f"Bearer {SECRET}", f"Bearer {key[:-1]}"):
            with pytest.raises(grpc.RpcError) as error:
                stub.Moderate(asked, timeout=60, metadata=(("authorization", wrong), traced))
            errors.append(f"{error.value.details()} {error.value.trailing_metadata()}")
        items = [pb.ModerateBatchRequest(request=each) for each in (asked, *refused)]
        for answer in stub.ModerateBatch(iter(items), timeout=60, metadata=metadata):
            errors.append(str(answer.error))
        raw = channel.unary_unary("/guard_service.v1.ModerationService/Moderate")
        with pytest.raises(grpc.RpcError) as error:
            raw(CANARY.encode(), timeout=60, metadata=metadata)
        errors.append(f"{error.value.details()} {error.value.trailing_metadata()}")
    return errors


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_canary_is_in_no_byte_of_logs_metrics_traces_and_errors(
    tmp_path: Path, collector: Collector, form: str
) -> None:
    environment = {"GUARD_LOG_LEVEL": "DEBUG", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    environment |= {"HF_TOKEN": SECRET, "GUARD_CHECK_CANARY": "false"}
    key = make_key()
    file = write_access(tmp_path / "access.json", entry(key))
    environment["GUARD_ACCESS_FILE"] = str(file)
    with serving(tmp_path, log_format=form, **environment) as served:
        errors = ask_in_every_way(served, key.text)
        with GuardClient(served.target, api_key=key.text) as client:
            kill_engine_and_ask(client, served)
        metrics = show(served)
    logs = "".join(served.log)
    assert len(errors) >= 17
    assert "answered" in logs
    assert TRACE in logs
    assert {span.trace_id.hex() for span in collector.spans()} >= {TRACE}
    everything = {
        "errors": "".join(errors).encode(),
        "logs": logs.encode(),
        "metrics": metrics.encode(),
        "traces": b"".join(collector.bodies),
    }
    for word in (CANARY, SECRET, key.text.split("_", 2)[2]):
        found = {name: data.count(word.encode()) for name, data in everything.items()}
        assert found == dict.fromkeys(everything, 0)


def kill_engine_and_ask(client: GuardClient, served: Served) -> None:
    """What is told of a failure comes from another place in the code than what goes well."""
    os.kill(served.engine_pid, signal.SIGKILL)
    with pytest.raises(GuardError):
        client.moderate(CANARY, on_unavailable=OnUnavailable.ERROR, timeout=0.3)


def test_every_line_off_a_terminal_is_json_with_an_action_word(tmp_path: Path) -> None:
    with (
        serving(tmp_path, log_format="auto", GUARD_LOG_LEVEL="DEBUG") as served,
        GuardClient(served.target) as client,
    ):
        client.moderate(HARMLESS, request_id="ab-12")
    lines = [json.loads(line) for line in served.log]
    ours = [line for line in lines if line["logger"].startswith("guard_service")]
    assert all(line["action"] for line in ours)
    (answered,) = [line for line in ours if line["action"] == "answered"]
    assert (answered["call"], answered["request_id"]) == ("Moderate", "ab-12")


def test_a_check_leaves_one_span_for_each_stage_below_its_caller(
    tmp_path: Path, collector: Collector
) -> None:
    with (
        serving(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as served,
        grpc.insecure_channel(served.target) as channel,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        metadata = (("traceparent", f"00-{TRACE}-{'cd' * 8}-01"),)
        stub.Moderate(request(HARM), timeout=60, metadata=metadata)
    *stages, call = collector.spans()
    assert [span.name for span in stages] == [
        "receive",
        "tokenize",
        "queue",
        "engine",
        "decide",
        "store",
    ]
    assert (call.name, call.parent_span_id.hex()) == ("Moderate", "cd" * 8)


def test_a_collector_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    with serving(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=nowhere) as served:
        with GuardClient(served.target, timeout=60) as client:
            assert client.moderate(HARMLESS).is_allowed
        served.process.terminate()
        started = time.monotonic()
        assert served.process.wait(20) == 0
    assert time.monotonic() - started < 10


def test_top_prints_one_frame_of_a_running_server(served: Served, client: GuardClient) -> None:
    client.moderate(HARM)
    command = [sys.executable, "-m", "guard_service", "top", served.metrics, "--once"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert printed.returncode == 0
    for part in ("SERVING", "checks, interactive", "whole check", "unsafe", "cpu"):
        assert part in printed.stdout


def test_a_death_of_the_engine_is_seen_in_the_metrics(tmp_path: Path) -> None:
    with serving(tmp_path) as served, GuardClient(served.target, timeout=60) as client:
        kill_engine_and_ask(client, served)
        client.wait_until_ready(60)
        assert client.moderate(HARMLESS).is_allowed
        shown = show(served)
    assert 'guard_engine_deaths_total{device="cpu",exit="SIGKILL"} 1.0' in shown
    assert 'guard_engine_starts_total{device="cpu"} 2.0' in shown
    assert 'guard_events_total{action="engine_died"} 1.0' in shown
