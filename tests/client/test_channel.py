import json
import subprocess
import sys

from guard_service.client.channel import channel_options
from guard_service.v1 import moderation_pb2, review_pb2


def test_exactly_the_methods_that_take_one_request_are_tried_again() -> None:
    files = (moderation_pb2.DESCRIPTOR, review_pb2.DESCRIPTOR)
    services = {each.full_name: each for file in files for each in file.services_by_name.values()}
    config = json.loads(dict(channel_options(None))["grpc.service_config"])
    assert config["healthCheckConfig"]["serviceName"] in services
    named: set[tuple[str, str]] = set()
    for name in (each for method in config["methodConfig"] for each in method["name"]):
        methods = services[name["service"]].methods_by_name
        named |= {(name["service"], each) for each in methods if name.get("method", each) == each}
    methods = [each for service in services.values() for each in service.methods]
    single = {(m.containing_service.full_name, m.name) for m in methods if not m.client_streaming}
    assert named == single


def test_only_calls_that_change_nothing_are_tried_again_when_a_server_cancels_them() -> None:
    config = json.loads(dict(channel_options(None))["grpc.service_config"])
    retried = {
        (name["service"], name.get("method"))
        for method in config["methodConfig"]
        if "CANCELLED" in method["retryPolicy"]["retryableStatusCodes"]
        for name in method["name"]
    }
    service = moderation_pb2.DESCRIPTOR.services_by_name["ModerationService"].full_name
    assert retried == {(service, m) for m in ("Moderate", "ListPolicies", "GetServerInfo")}


def test_options_of_the_caller_win() -> None:
    options = channel_options({"grpc.keepalive_time_ms": 1, "mine": 2})
    assert dict(options)["grpc.keepalive_time_ms"] == 1
    assert dict(options)["mine"] == 2
    assert len(options) == len(dict(options))


def test_the_client_needs_neither_torch_nor_the_server() -> None:
    code = (
        "import sys, guard_service.client\n"
        "heavy = {'torch', 'transformers', 'pydantic', 'sqlalchemy', 'typer', 'rich'}\n"
        "ours = {n for n in sys.modules if n.startswith('guard_service.')}\n"
        "allowed = ('guard_service.client', 'guard_service.v1')\n"
        "print(heavy & set(sys.modules), {n for n in ours if not n.startswith(allowed)})\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set() set()"
