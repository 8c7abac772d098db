"""The port under TLS: certificates exchanged while calls run, and callers known by theirs."""

import asyncio
import ssl
from pathlib import Path

import pytest
from credentials import Pki, entry, write_access
from in_process import Running, running

from guard_service.access.access import Access
from guard_service.access.key import make_key
from guard_service.client import AsyncGuardClient, GuardError, Tls, Unauthenticated
from guard_service.config import Settings

KEY = make_key()
CHAT = "spiffe://acme.example/chat"


def settings(folder: Path, pki: Pki, **more: object) -> Settings:
    certificate, key = pki.server()
    chat = {"uri": CHAT, "name": "chat", "tenant": "acme"}
    file = write_access(folder / "access.json", entry(KEY), certificates=[chat])
    given = {"access_file": file, "tls_certificate": certificate, "tls_key": key}
    return Settings(**(given | more))  # type: ignore[arg-type]


def served_certificate(service: Running) -> str:
    return ssl.get_server_certificate(("127.0.0.1", service.port))


async def test_a_key_is_taken_over_tls(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with (
        running(Access(settings(tmp_path, pki))) as service,
        AsyncGuardClient(service.target, api_key=KEY.text, tls=Tls(ca=pki.ca)) as guard,
    ):
        assert (await guard.moderate("hello")).is_allowed


async def test_a_certificate_is_exchanged_while_a_connection_stands(tmp_path: Path) -> None:
    pki, tls = Pki(tmp_path), Tls(ca=tmp_path / "ca.pem")
    async with (
        running(Access(settings(tmp_path, pki))) as service,
        AsyncGuardClient(service.target, api_key=KEY.text, tls=tls) as before,
        AsyncGuardClient(service.target, api_key=KEY.text, tls=tls) as after,
    ):
        await before.moderate("hello")
        first = await asyncio.to_thread(served_certificate, service)
        pki.server()  # the same files, with another certificate
        assert await asyncio.to_thread(served_certificate, service) == first
        service.access.take(service.access.read_again({}))
        assert await asyncio.to_thread(served_certificate, service) != first
        assert (await before.moderate("hello")).is_allowed
        assert (await after.moderate("hello")).is_allowed


async def test_callers_are_known_by_one_uri_of_their_certificate(tmp_path: Path) -> None:
    pki, strangers = Pki(tmp_path), Pki(tmp_path / "strangers")
    expected = {
        "right": pki.client("right", CHAT),
        "two uris": pki.client("two", CHAT, "https://else.example/chat"),
    }
    unknown = {
        "another domain": pki.client("other", "spiffe://else.example/chat"),
        "a name alone": pki.client("cn-only"),
        "a DNS name": pki.client("dns", dns=["acme.example"]),
    }
    refused = {
        "expired": pki.client("expired", CHAT, ends_in_s=-60),
        "of strangers": strangers.client("stranger", CHAT),
    }

    async def ask(service: Running, files: tuple[Path, Path] | None, **more: object) -> str:
        certificate, key = files or (None, None)
        tls = Tls(ca=pki.ca, certificate=certificate, key=key)
        options = {"grpc.use_local_subchannel_pool": 1}
        async with AsyncGuardClient(
            service.target, tls=tls, timeout=2, options=options, **more
        ) as guard:  # type: ignore[arg-type]
            await guard.moderate("hello")
            return service.reader.callers[-1].name

    async with running(Access(settings(tmp_path, pki, tls_client_ca=pki.ca))) as service:
        for files in expected.values():
            assert await ask(service, files) == "acme"
        for name, files in unknown.items():
            with pytest.raises(Unauthenticated):
                await ask(service, files)
                pytest.fail(name)
        for files in (*refused.values(), None):
            with pytest.raises(GuardError) as error:
                await ask(service, files)
            assert not isinstance(error.value, Unauthenticated)  # TLS itself refuses
        with pytest.raises(Unauthenticated):  # a wrong key is not made up for
            await ask(service, expected["right"], api_key="gk_wrong")
    assert len(service.reader.callers) == len(expected)


async def test_no_call_is_lost_while_certificates_are_exchanged_under_load(tmp_path: Path) -> None:
    pki, tls = Pki(tmp_path), Tls(ca=tmp_path / "ca.pem")
    options = {"grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0}
    async with running(Access(settings(tmp_path, pki))) as service:
        is_over = False

        async def call(*, again: bool) -> int:
            num_calls = 0
            while not is_over:
                async with AsyncGuardClient(
                    service.target, api_key=KEY.text, tls=tls, options=options
                ) as guard:
                    for _ in range(1 if again else 10):  # a new connection for each, or a few
                        assert (await guard.moderate("hello")).is_allowed
                        num_calls += 1
            return num_calls

        callers = [asyncio.create_task(call(again=n % 2 == 0)) for n in range(6)]
        seen = set()
        for _ in range(20):
            pki.server()
            service.access.take(service.access.read_again({}))
            seen.add(await asyncio.to_thread(served_certificate, service))
        is_over = True
        assert all(await asyncio.gather(*callers))
        assert len(seen) == 20
