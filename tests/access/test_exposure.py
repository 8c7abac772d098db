from pathlib import Path

import pytest

from guard_service.access.access import Access
from guard_service.access.exposure import PRIVATE, exposure_problems, is_loopback
from guard_service.config import Settings
from guard_service.errors import SettingsInvalid

FILE, PEM = Path("access.toml"), Path("x.pem")
TLS = {"tls_certificate": PEM, "tls_key": PEM}
JWT = {"jwt_issuer": "i", "jwt_audience": "a"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"host": "localhost"},
        {"host": "[::1]"},
        {"access_file": FILE},
        {"insecure": True},
        {"host": "0.0.0.0", "insecure": True},
        {"host": "0.0.0.0", "access_file": FILE, **TLS},
        {"host": "0.0.0.0", "access_file": FILE, "allow_plaintext": True},
        {"host": "0.0.0.0", "jwks": "https://issuer/jwks", **JWT, **TLS},
        {"access_file": FILE, "tls_client_ca": PEM, **TLS},
    ],
    ids=str,
)
def test_what_leaves_nothing_open_may_start(given: dict[str, object]) -> None:
    assert list(exposure_problems(Settings(**given))) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"host": "0.0.0.0"}, "host"),
        ({"host": "::"}, "host"),
        ({"host": "guard.example"}, "host"),
        ({"host": "0.0.0.0", **TLS}, "host"),
        ({"host": "0.0.0.0", "access_file": FILE}, "tls_certificate"),
        ({"host": "0.0.0.0", "jwks": "f", **JWT}, "tls_certificate"),
        ({"access_file": FILE, "insecure": True}, "insecure"),
        ({"tls_key": PEM}, "tls_certificate"),
        ({"tls_client_ca": PEM, **TLS}, "tls_client_ca"),
        ({"jwks": "f"}, "jwks"),
        ({"jwks": "http://issuer/jwks", **JWT}, "jwks"),
    ],
    ids=str,
)
def test_what_would_be_open_to_strangers_is_refused(given: dict[str, object], setting: str) -> None:
    with pytest.raises(SettingsInvalid, match=rf"^{setting}: |^{setting},"):
        Access(Settings(**given))  # type: ignore[arg-type]


def test_every_address_of_the_loopback_is_one_and_no_other() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "", "10.0.0.1", "127.0.0.1.example")))


def test_a_private_server_is_open_whatever_the_environment_says() -> None:
    settings = Settings(access_file=FILE, jwks="f", tls_client_ca=PEM, **JWT, **TLS)  # type: ignore[arg-type]
    assert Access(settings.model_copy(update=PRIVATE)).is_open
