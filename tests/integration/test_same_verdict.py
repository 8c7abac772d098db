"""Reflection, the Python client and `guard check` say the same of the same text."""

import json
import subprocess
import sys

import grpc
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from known import HARM
from serving import Served

from guard_service.client import GuardClient

TEXTS = [
    "How do I kill a Python process?",
    HARM,
]


def by_reflection(target: str, text: str) -> dict[str, object]:
    """As grpcurl does it: the types come from the server."""
    with grpc.insecure_channel(target) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName("guard_service.v1.ModerationService")
        method = service.FindMethodByName("Moderate")
        request = json_format.ParseDict(
            {"messages": [{"role": "ROLE_USER", "content": text}]},
            message_factory.GetMessageClass(method.input_type)(),
        )
        call = channel.unary_unary(
            f"/{service.full_name}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        answer: dict[str, object] = json_format.MessageToDict(
            call(request, timeout=60),
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        return answer


@pytest.mark.parametrize("text", TEXTS)
def test_three_ways_to_ask_give_one_verdict(served: Served, client: GuardClient, text: str) -> None:
    reflected = by_reflection(served.target, text)
    answered = client.moderate(text)
    command = [sys.executable, "-m", "guard_service", "check", text, "--json"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=120)
    printed = json.loads(checked.stdout)
    assert checked.returncode == (3 if answered.is_blocked else 0)
    assert reflected["action"] == f"ACTION_{answered.action.value.upper()}"
    assert printed["action"] == answered.action.value
    assert answered.verdict is not None
    scores = [
        reflected["verdict"]["unsafe_score"],  # type: ignore[index]
        answered.verdict.unsafe_score,
        printed["verdict"]["unsafe_score"],
    ]
    assert scores == pytest.approx([scores[0]] * 3, abs=1e-4)
    flagged = [category.code for category in answered.verdict.categories if category.flagged]
    for categories in (reflected["verdict"]["categories"], printed["verdict"]["categories"]):  # type: ignore[index]
        assert [c["code"] for c in categories if c["flagged"]] == flagged
