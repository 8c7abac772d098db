"""Webhooks over real HTTP, to a receiver that a test scripts."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from guard_service.errors import SettingsInvalid, SinkUnavailable
from guard_service.review.event import Event, EventKind
from guard_service.review.sink.webhook import Webhook, read_secret, sign

SECRET = f"whsec_{base64.b64encode(b'k' * 24).decode()}"
EVENT = Event(
    "e" * 32, EventKind.ADDED, "1" * 32, "acme", datetime(2026, 1, 2, tzinfo=UTC), {"a": 1}, 7
)


@dataclass
class Receiver:
    """Answers each call with the next status, the last for ever; keeps what was sent."""

    answers: list[str] = field(default_factory=lambda: ["204 No Content"])
    calls: list[tuple[dict[str, str], str]] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.calls.append((headers, body.decode()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        writer.write(f"HTTP/1.1 {status}\r\nconnection: close\r\n\r\n".encode())
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as server:
        receiver.port = server.sockets[0].getsockname()[1]
        yield receiver


@pytest.fixture
async def webhook(receiver: Receiver) -> AsyncIterator[Webhook]:
    webhook = Webhook(f"http://127.0.0.1:{receiver.port}/", SECRET, now_s=lambda: 1614265330.5)
    yield webhook
    await webhook.close()


def test_a_signature_is_that_of_the_specification() -> None:
    key = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_an_event_is_sent_signed_and_under_its_id(
    webhook: Webhook, receiver: Receiver
) -> None:
    await webhook.publish([EVENT])
    ((headers, body),) = receiver.calls
    assert body == EVENT.to_json()
    assert headers["webhook-id"] == EVENT.id
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == sign(b"k" * 24, EVENT.id, 1614265330, body)


@pytest.mark.parametrize(
    "answer",
    ["500 Oops", "410 Gone", "307 Elsewhere\r\nlocation: /elsewhere", "101 Switching"],
)
async def test_what_is_not_a_success_is_a_failure_and_nobody_is_sent_on(
    webhook: Webhook, receiver: Receiver, answer: str
) -> None:
    receiver.answers = [answer]
    with pytest.raises(SinkUnavailable):
        await webhook.publish([EVENT])
    assert len(receiver.calls) == 1


async def test_nobody_at_the_address_is_a_failure(webhook: Webhook, receiver: Receiver) -> None:
    receiver.answers = ["204 No Content"]
    away = Webhook("http://127.0.0.1:1/", SECRET)
    with pytest.raises(SinkUnavailable, match="ConnectError"):
        await away.publish([EVENT])
    await away.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://localhost/",
        "http://169.254.169.254/latest",
        "http://0.0.0.0/",
        "ftp://127.0.0.1/",
        "https://user:password@example.com/",
        "https:///nowhere",
        "https://host:99999/",
        "nonsense",
    ],
)
def test_an_address_that_others_could_listen_on_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="webhook_url") as error:
        Webhook(url, SECRET)
    assert url not in str(error.value)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_???", SECRET[6:]])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(SettingsInvalid, match="webhook_secret"):
        Webhook("https://example.com/", secret)
