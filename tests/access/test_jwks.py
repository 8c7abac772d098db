import asyncio
import json
import logging
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from credentials import Pki, Signer, write_jwks

from guard_service.access.jwks import FetchedKeys, FileKeys, open_keys
from guard_service.errors import AccessInvalid

FIRST, SECOND = Signer("1"), Signer("2")


class Source:
    """What a URL gives; counts how often it is asked."""

    def __init__(self, *signers: Signer) -> None:
        self.signers = list(signers)
        self.error: Exception | None = None
        self.num_fetched = 0
        self.threads: set[str] = set()

    def __call__(self) -> Any:
        self.num_fetched += 1
        self.threads.add(threading.current_thread().name)
        if self.error:
            raise self.error
        return {"keys": [signer.jwk for signer in self.signers]}


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + seconds)


async def test_a_file_gives_its_keys(tmp_path: Path) -> None:
    keys = open_keys(str(write_jwks(tmp_path / "jwks.json", FIRST, SECOND)))
    assert await keys.find("2") is not None
    assert await keys.find("3") is None


@pytest.mark.parametrize(
    "values",
    [
        "no object",
        {},
        {"keys": []},
        {"keys": [{"kty": "oct", "kid": "1", "k": "c2VjcmV0", "alg": "HS256"}]},
        {"keys": [{**FIRST.jwk, "use": "enc"}]},
        {"keys": [{name: value for name, value in FIRST.jwk.items() if name != "kid"}]},
    ],
    ids=["text", "empty", "none", "secret", "for encryption", "without id"],
)
def test_a_file_without_a_public_key_to_sign_with_is_refused(tmp_path: Path, values: Any) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(values))
    with pytest.raises(AccessInvalid):
        FileKeys(tmp_path / "jwks.json")


async def test_fetching_is_off_the_loop_once_for_all_who_wait() -> None:
    source = Source(FIRST)
    keys = FetchedKeys(source)
    found = await asyncio.gather(*(keys.find("1") for _ in range(50)))
    assert all(found)
    assert source.num_fetched == 1
    assert threading.main_thread().name not in source.threads


async def test_unknown_ids_make_no_storm_of_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(FIRST)
    keys = FetchedKeys(source)
    for number in range(100):
        await keys.find(f"unknown {number}")
    assert source.num_fetched == 1
    source.signers.append(SECOND)
    later(monkeypatch, 31)
    assert await keys.find("2") is not None  # an exchange is noticed
    assert source.num_fetched == 2


async def test_old_keys_serve_on_while_they_are_fetched_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(FIRST)
    keys = FetchedKeys(source)
    await keys.find("1")
    source.error = ConnectionError("secret-of-the-url")
    later(monkeypatch, 301)
    assert await keys.find("1") is not None
    assert keys._task is not None
    caplog.set_level(logging.ERROR)
    await keys._task
    assert await keys.find("1") is not None
    assert vars(caplog.records[-1])["action"] == "jwks_failed"
    assert "secret-of-the-url" not in caplog.text


async def test_a_key_that_is_no_longer_published_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Source(FIRST, SECOND)
    keys = FetchedKeys(source)
    await keys.find("1")
    source.signers.remove(FIRST)
    later(monkeypatch, 301)
    await keys.find("1")
    assert keys._task is not None
    await keys._task
    assert await keys.find("1") is None


@contextmanager
def https(pki: Pki, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.server())
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://localhost:{server.server_port}/jwks"
        server.shutdown()
        thread.join()


async def test_a_url_is_fetched_over_tls_that_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pki = Pki(tmp_path)
    with https(pki, json.dumps({"keys": [FIRST.jwk]}).encode()) as url:
        assert await open_keys(url).find("1") is None  # a certificate of nobody we know
        monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca))
        assert await open_keys(url).find("1") is not None
