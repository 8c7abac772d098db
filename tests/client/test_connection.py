from pathlib import Path
from typing import Any

import grpc
import pytest
from client.scripted import answer

from guard_service.client import AsyncGuardClient, GuardClient, InvalidRequest, Tls
from guard_service.client.connection import Connection
from guard_service.client.environment import shown


@pytest.mark.parametrize(
    "target",
    ["localhost:1", "127.0.0.1:1", "127.1.2.3", "dns:///localhost:1", "ipv6:[::1]:1", "unix:/x"],
)
def test_a_secret_may_stay_on_this_machine(target: str) -> None:
    assert Connection(target, api_key="gk_x").channel_credentials is None


@pytest.mark.parametrize(
    "target",
    [
        "guard:1",
        "10.0.0.1:1",
        "localhost.example:1",
        "127.0.0.1.example:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1",
        "dns:///guard:1",
    ],
)
@pytest.mark.parametrize("client", [GuardClient, AsyncGuardClient])
def test_a_secret_does_not_travel_in_the_clear_unless_told_to(client: Any, target: str) -> None:
    for secret in ({"api_key": "gk_x"}, {"token": "x"}):
        with pytest.raises(InvalidRequest, match="allow_plaintext"):
            client(target, **secret)
        Connection(target, **secret, allow_plaintext=True)
        Connection(target, **secret, credentials=grpc.ssl_channel_credentials())
        assert Connection(target, **secret, tls=True).channel_credentials is not None


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not both"):
        Connection("localhost:1", api_key="gk_x", token="x")
    with pytest.raises(InvalidRequest, match="not both"):
        Connection("localhost:1", tls=True, credentials=grpc.ssl_channel_credentials())


def test_a_secret_is_not_in_the_repr() -> None:
    assert "gk_x" not in repr(Connection("localhost:1", api_key="gk_x"))
    assert "secret" not in repr(Connection("localhost:1", token="secret"))


def test_another_name_is_looked_for_in_the_certificate_where_told_to() -> None:
    options = Connection("localhost:1", tls=Tls(server_name="guard")).channel_options
    assert options == {"grpc.ssl_target_name_override": "guard"}


def test_each_call_shows_the_token_of_its_moment(guard: Any, service: Any, target: str) -> None:
    seen = []

    def on_moderate(request: Any, context: Any) -> Any:
        seen.append(dict(context.invocation_metadata()).get("authorization"))
        return answer(request.request_id)

    service.on_moderate = on_moderate
    tokens = iter(("first", "second"))
    with GuardClient(target, token=lambda: next(tokens)) as client:
        client.moderate("hello")
        client.moderate("hello")
    with GuardClient(target, api_key="gk_x") as client:
        client.moderate("hello")
    guard.moderate("hello")
    assert seen == ["Bearer first", "Bearer second", "Bearer gk_x", None]


def test_the_commands_read_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GUARD_API_KEY", raising=False)
    assert shown() == {"api_key": None, "tls": False}
    monkeypatch.setenv("GUARD_API_KEY", "gk_x")
    monkeypatch.setenv("GUARD_CA", str(tmp_path))
    assert shown() == {"api_key": "gk_x", "tls": Tls(ca=str(tmp_path))}
