"""The running service, called as its users call it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from known import HARM, HARMLESS
from serving import Served, serving

from guard_service.client import GuardClient, InvalidRequest, Judge, TextSign
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import moderation_pb2_grpc


def raw(served: Served, method: str, payload: bytes) -> grpc.RpcError | bytes:
    """A call with bytes that no client library would send."""
    with grpc.insecure_channel(served.target) as channel:
        call = channel.unary_unary(f"/guard_service.v1.{method}")
        try:
            return call(payload, timeout=30)
        except grpc.RpcError as error:
            return error


def reason(error: object) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return info.reason


def test_a_harmless_message_is_allowed_and_a_harmful_one_blocked(client: GuardClient) -> None:
    allowed, blocked = client.moderate(HARMLESS), client.moderate(HARM)
    assert allowed.is_allowed
    assert blocked.is_blocked
    assert allowed.verdict is not None
    assert blocked.verdict is not None
    assert allowed.verdict.unsafe_score < 0.5 <= blocked.verdict.unsafe_score
    assert blocked.verdict.flagged
    scores = sum(category.score for category in blocked.verdict.categories)
    assert scores == pytest.approx(blocked.verdict.unsafe_score, abs=1e-4)


@pytest.mark.parametrize(
    ("disguise", "sign"),
    [
        (lambda text: "\u200b".join(text), TextSign.INVISIBLE),
        (lambda text: "hello" + "".join(chr(0xE0000 + ord(c)) for c in text), TextSign.HIDDEN),
        (lambda text: f"\u202e{text[::-1]}", TextSign.BIDI),
        (lambda text: text.translate({n: n + 0xFEE0 for n in range(33, 127)}), TextSign.LOOKALIKE),
    ],
)
def test_a_harmful_message_in_disguise_is_blocked_and_told(
    client: GuardClient, disguise: Callable[[str], str], sign: TextSign
) -> None:
    answer = client.moderate(disguise(HARM))
    assert answer.is_blocked
    assert answer.text_signs == (sign,)
    assert answer.coverage.windows == 2


def test_harm_in_an_earlier_turn_is_found_on_request(client: GuardClient) -> None:
    messages = [
        {"role": "user", "content": HARM},
        {"role": "assistant", "content": "No, I will not help with that."},
        {"role": "user", "content": HARMLESS},
    ]
    answer = client.moderate(messages, judge=Judge.ALL)
    assert answer.is_blocked
    assert answer.verdict is not None
    assert answer.verdict.message == 0
    assert answer.coverage.windows == 3


def test_a_decision_that_wants_people_is_listed_once_however_often_it_is_sent(
    client: GuardClient,
) -> None:
    answers = {client.moderate(HARM, request_id="the-same").review_item_id for _ in range(3)}
    listed = [item.id for item in client.list_review_items() if item.request_id == "the-same"]
    assert listed == [*answers]


@pytest.mark.parametrize(
    "method",
    [
        "ModerationService/Moderate",
        "ModerationService/ListPolicies",
        "ReviewService/ListReviewItems",
    ],
)
def test_bytes_that_do_not_parse_are_the_callers_fault(served: Served, method: str) -> None:
    error = raw(served, method, b"\x0a\xff\xff\xff\xff")
    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason(error) == "MALFORMED_REQUEST"
    assert "protobuf.message" not in (error.details() or "")


def test_a_conversation_over_the_limit_is_refused_and_names_it(client: GuardClient) -> None:
    with pytest.raises(InvalidRequest, match="at most 262144") as error:
        client.moderate("x" * 262_145)
    assert error.value.reason == "CONVERSATION_TOO_LONG"
    assert error.value.violations[0].field == "messages"


def test_a_long_conversation_is_read_in_windows_and_says_so(client: GuardClient) -> None:
    answer = client.moderate("The weather was fine and nothing happened. " * 400)
    assert answer.coverage is not None
    assert answer.coverage.windows > 1
    assert answer.coverage.judged_chars == answer.coverage.total_chars


def test_a_bad_item_of_a_stream_gets_its_own_error_and_the_stream_lives_on(served: Served) -> None:
    good = pb.ModerateRequest(messages=[pb.Message(role=pb.ROLE_USER, content=HARMLESS)])
    sent = [
        pb.ModerateBatchRequest(request=good).SerializeToString(),
        b"\x0a\xff\xff",
        pb.ModerateBatchRequest().SerializeToString(),
        pb.ModerateBatchRequest(request=pb.ModerateRequest(request_id="e")).SerializeToString(),
        pb.ModerateBatchRequest(request=good).SerializeToString(),
    ]
    with grpc.insecure_channel(served.target) as channel:
        call = channel.stream_stream(
            "/guard_service.v1.ModerationService/ModerateBatch",
            response_deserializer=pb.ModerateBatchResponse.FromString,
        )
        answers = {answer.index: answer for answer in call(iter(sent), timeout=60)}
    kinds = [answers[n].WhichOneof("result") for n in range(5)]
    assert kinds == ["response", "error", "error", "error", "response"]
    invalid = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert all(answers[n].error.code == invalid for n in (1, 2, 3))
    assert answers[3].request_id == "e"
    assert all(answers[n].request_id for n in (0, 4))


def test_health_is_told_for_each_service(served: Served) -> None:
    with grpc.insecure_channel(served.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "guard_service.v1.ModerationService", "guard_service.v1.ReviewService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_server_says_what_it_is(client: GuardClient) -> None:
    info = client.server_info()
    assert (info.model, info.device) == ("guard-tiny", "cpu")
    assert info.development_model
    assert len(info.model_digest) == 64
    assert info.limits.max_conversation_bytes == 262_144
    (policy,) = client.list_policies()
    assert (policy.id, len(policy.categories)) == ("default", 14)


def test_a_deadline_that_passes_ends_the_call_and_nothing_else(served: Served) -> None:
    request = pb.ModerateRequest(messages=[pb.Message(role=pb.ROLE_USER, content=HARMLESS)])
    with grpc.insecure_channel(served.target) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.Moderate(request, timeout=0.001)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert stub.Moderate(request, timeout=60).action == pb.ACTION_ALLOW


def test_a_client_that_leaves_its_stream_does_no_harm(served: Served) -> None:
    request = pb.ModerateRequest(messages=[pb.Message(role=pb.ROLE_USER, content=HARMLESS)])
    item = pb.ModerateBatchRequest(request=request)
    with grpc.insecure_channel(served.target) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        for num_read in (0, 1, 5):
            call = stub.ModerateBatch(iter([item] * 300))
            for _ in range(num_read):
                next(call)
            call.cancel()
        assert stub.Moderate(request, timeout=60).action == pb.ACTION_ALLOW
    assert not any("internal_error" in line for line in served.log)


def test_a_port_that_is_taken_is_told_in_one_line(served: Served) -> None:
    command = [
        sys.executable,
        "-m",
        "guard_service",
        "serve",
        "--port",
        served.target.split(":")[1],
        "--metrics-port",
        "off",
    ]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    assert "cannot listen on" in failed.stderr.splitlines()[-1]


def test_sigterm_while_the_model_loads_ends_without_waiting_for_it(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "guard_service", "serve", "--port", "0"]
    command += ["--metrics-port", "off", "--database-url", f"sqlite:///{tmp_path / 'guard.db'}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "listening" in line:
                process.terminate()
                break
        rest = process.stderr.read()
        assert process.wait(30) == 0
    assert "engine_serving" not in rest
    assert "Traceback" not in rest


def test_sigterm_drains_and_exits_with_success(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("drained")
    with serving(folder, GUARD_LAME_DUCK_S="0.1") as served:
        with GuardClient(served.target, timeout=60) as client:
            assert client.moderate(HARMLESS).is_allowed
        served.process.terminate()
        assert served.process.wait(30) == 0
    assert any("draining" in line for line in served.log)


def test_no_text_of_a_user_reaches_the_log(client: GuardClient, served: Served) -> None:
    canary = "xylophone-canary-7461"
    client.moderate(f"{canary} {HARM}", labels={"chat": canary}, request_id=canary)
    with pytest.raises(InvalidRequest):
        client.moderate(canary, policy=canary)
    raw(served, "ModerationService/Moderate", canary.encode())
    assert not any(canary in line for line in served.log)
