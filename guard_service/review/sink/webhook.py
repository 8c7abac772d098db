"""An HTTPS endpoint, called with signatures after the Standard Webhooks specification.

The address is the operator's, but what answers there may not be trusted: it cannot send us on, not
even by the environment's proxies, and what it says beyond the status is not read.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence

import httpx

from guard_service.errors import SettingsInvalid, SinkUnavailable
from guard_service.review.event import CONTENT_TYPE, Event

_ANSWER_S = 5.0
_MAX_CALLS = 8
_MIN_SECRET_BYTES = 24
_PREFIX = "whsec_"


class Webhook:
    name = "webhook"

    def __init__(self, url: str, secret: str, now_s: Callable[[], float] = time.time) -> None:
        """SettingsInvalid if the URL is not https, or http to this machine, or the secret short."""
        _check(url)
        self._url = url
        self._key = read_secret(secret)
        self._now_s = now_s
        self._client = httpx.AsyncClient(
            timeout=_ANSWER_S,
            limits=httpx.Limits(max_connections=_MAX_CALLS),
            follow_redirects=False,
            trust_env=False,
        )

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.gather(*map(self._send, events))

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, event: Event) -> None:
        body, at_s = event.to_json(), int(self._now_s())
        headers = {
            "content-type": CONTENT_TYPE,
            "webhook-id": event.id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": sign(self._key, event.id, at_s, body),
        }
        request = self._client.build_request("POST", self._url, content=body, headers=headers)
        try:
            answer = await self._client.send(request, stream=True)
            await answer.aclose()
        except httpx.HTTPError as error:
            raise SinkUnavailable(type(error).__name__) from None
        if not answer.is_success:
            raise SinkUnavailable(f"status {answer.status_code}")


def sign(key: bytes, event_id: str, at_s: int, body: str) -> str:
    signed = f"{event_id}.{at_s}.{body}".encode()
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def read_secret(text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(_PREFIX) or len(key) < _MIN_SECRET_BYTES:
        problem = f"{_PREFIX} and at least {_MIN_SECRET_BYTES} bytes in base64"
        raise SettingsInvalid(f"webhook_secret: {problem}")
    return key


def _check(url: str) -> None:
    try:
        parts = httpx.URL(url)
        is_fine = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.host))
        is_fine = is_fine and bool(parts.host) and not parts.userinfo
        is_fine = is_fine and (parts.port or 0) < 2**16
    except (httpx.InvalidURL, ValueError):
        is_fine = False
    if not is_fine:
        problem = "https to a host, or http to a loopback address, without a user"
        raise SettingsInvalid(f"webhook_url: {problem}")


def _is_loopback(host: str) -> bool:
    """Of an address; ValueError for a name, which is what somebody else says it is."""
    return ipaddress.ip_address(host).is_loopback
