import httpx
import pytest

from guard_service.access.exposure import exposure_problems
from guard_service.config import Settings
from guard_service.errors import SettingsInvalid
from guard_service.review.store import ReviewStore
from guard_service.web.command import console_flags
from guard_service.web.server import ConsoleServer


async def test_the_console_answers_on_its_port_and_ends_in_order() -> None:
    store, server = ReviewStore("sqlite://"), ConsoleServer(Settings(console="127.0.0.1:0"))
    await store.start()
    async with server.serving(store, {}), httpx.AsyncClient() as client:
        address = f"http://127.0.0.1:{server.port}/login"
        assert (await client.get(address)).status_code == 200
        assert (await client.get(address, headers={"host": "rebound.example"})).status_code == 403
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
    await store.stop()


async def test_a_port_that_is_taken_is_refused_before_anything_starts() -> None:
    first = ConsoleServer(Settings(console="127.0.0.1:0"))
    with pytest.raises(SettingsInvalid, match="cannot listen"):
        ConsoleServer(Settings(console=f"127.0.0.1:{first.port}"))
    async with first.serving(ReviewStore("sqlite://"), {}):
        pass


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"console": "0.0.0.0:8050"}, "tls_certificate"),
        ({"console": "10.0.0.1:8050", "allow_plaintext": True}, "console_origin"),
        ({"console": "10.0.0.1:8050", "console_origin": "http://review.example"}, "only https"),
    ],
)
def test_plain_http_beyond_loopback_is_refused(values: dict[str, object], problem: str) -> None:
    assert any(problem in each for each in exposure_problems(Settings(**values)))  # type: ignore[arg-type]


def test_the_console_is_off_unless_it_is_asked_for() -> None:
    assert ConsoleServer(Settings()).port is None
    assert console_flags({"console": False, "console_at": None}) == {"console": None}
    assert console_flags({"console": True, "console_at": None}) == {"console": "127.0.0.1:8050"}
    with pytest.raises(SettingsInvalid):
        console_flags({"console": False, "console_at": "127.0.0.1:1"})
