import json
import subprocess
import sys

from guard_service import client
from guard_service.client.channel import SERVICE, channel_options, service_config
from guard_service.v1 import moderation_pb2, review_pb2


def test_the_service_config_names_services_and_methods_that_exist() -> None:
    config = json.loads(service_config())
    files = (moderation_pb2.DESCRIPTOR, review_pb2.DESCRIPTOR)
    services = {each.full_name: each for file in files for each in file.services_by_name.values()}
    assert config["healthCheckConfig"]["serviceName"] == SERVICE
    for name in config["methodConfig"][0]["name"]:
        assert name.get("method") in {None, *services[name["service"]].methods_by_name}


def test_each_unary_method_is_tried_again() -> None:
    config = json.loads(service_config())
    named = {(name["service"], name.get("method")) for name in config["methodConfig"][0]["name"]}
    for file in (moderation_pb2.DESCRIPTOR, review_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            for method in service.methods:
                is_retried = bool(
                    {(service.full_name, method.name), (service.full_name, None)} & named
                )
                assert is_retried != method.server_streaming


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


def test_everything_exported_exists_once() -> None:
    assert len(set(client.__all__)) == len(client.__all__)
    assert all(hasattr(client, name) for name in client.__all__)
