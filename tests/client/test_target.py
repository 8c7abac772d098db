from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from client.conftest import open_server
from client.scripted import ScriptedService

from guard_service.client import AsyncGuardClient, GuardClient, InvalidRequest, Tls
from guard_service.client.target import grpc_target, is_local


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("guard:1", "guard:1"),
        ("dns:///guard:1", "dns:///guard:1"),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", "ipv4:10.0.0.1:1,10.0.0.2:1"),
        ("10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (["10.0.0.1:1", " 10.0.0.2:2"], "ipv4:10.0.0.1:1,10.0.0.2:2"),
        ("localhost:1, localhost:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        (("[::1]:1", "[fd00::2]:2"), "ipv6:[::1]:1,[fd00::2]:2"),
        (["guard:1"], "guard:1"),
    ],
)
def test_one_or_several_addresses_are_a_target_of_grpc(target: Any, expected: str) -> None:
    assert grpc_target(target) == expected


@pytest.mark.parametrize(
    "target", ["a:1,b:2", ["10.0.0.1:1", "[::1]:1"], ["10.0.0.1", "10.0.0.2"], [], "10.0.0.1:1,"]
)
@pytest.mark.parametrize("client", [GuardClient, AsyncGuardClient])
def test_several_that_grpc_could_not_watch_are_refused(client: Any, target: Any) -> None:
    with pytest.raises(InvalidRequest, match="DNS name"):
        client(target)


def test_several_are_local_only_if_all_are() -> None:
    assert is_local("ipv4:127.0.0.1:1,127.0.0.2:1")
    assert not is_local("ipv4:127.0.0.1:1,10.0.0.1:1")


def test_several_over_tls_have_a_name_in_common() -> None:
    with pytest.raises(InvalidRequest, match="server_name"):
        GuardClient("10.0.0.1:1,10.0.0.2:1", tls=True)
    GuardClient("10.0.0.1:1,10.0.0.2:1", tls=Tls(server_name="guard")).close()


@pytest.fixture
def two() -> Iterator[list[tuple[ScriptedService, str, Callable[[], None]]]]:
    services = [ScriptedService(), ScriptedService()]
    servers = [open_server(service) for service in services]
    yield [
        (service, target, stop) for service, (target, stop) in zip(services, servers, strict=True)
    ]
    for _, stop in servers:
        stop()


def test_one_of_two_servers_dies_and_no_call_fails(two: Any) -> None:
    (first, first_target, kill), (second, second_target, _) = two
    with GuardClient(f"{first_target},{second_target}") as client, ThreadPoolExecutor(4) as pool:
        while not (first.seen and second.seen):  # one may be connected before the other
            client.moderate("hello")
        answers = pool.map(client.moderate, ["hello"] * 200)
        next(answers)
        kill()
        assert all(found.is_allowed for found in answers)
        second.seen.clear()
        client.moderate("hello")
    assert len(second.seen) == 1
