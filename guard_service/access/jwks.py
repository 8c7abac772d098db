"""The public keys that tokens are signed with, from a file or fetched from an https URL."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt

from guard_service.errors import AccessInvalid

log = logging.getLogger(__name__)

_LIFETIME_S = 300.0  # of what was fetched; older keys serve on while they are fetched again
_COOLDOWN_S = 30.0  # between fetches, however many unknown key ids are asked for
_TIMEOUT_S = 5.0

Keys = Mapping[str, jwt.PyJWK]


class FileKeys:
    """The keys of a file, which is read once; a reload makes a new object."""

    def __init__(self, path: Path) -> None:
        try:
            self._keys = _keys(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise AccessInvalid(f"jwks: {path}: {error.strerror}") from None
        except (ValueError, jwt.PyJWTError):
            raise AccessInvalid(f"jwks: {path}: not a JWK set with a public key") from None

    async def find(self, kid: str) -> jwt.PyJWK | None:
        return self._keys.get(kid)


class FetchedKeys:
    """The keys of a URL. Fetching runs in a thread; a failure leaves the keys known before."""

    def __init__(self, fetch: Callable[[], Any]) -> None:
        self._fetch = fetch
        self._keys: Keys = {}
        self._fetched_s = self._tried_s = -_LIFETIME_S
        self._task: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of this id; waits for a fetch only where it is not known."""
        if kid not in self._keys or time.monotonic() > self._fetched_s + _LIFETIME_S:
            self._start()
        if kid not in self._keys and self._task is not None:
            await asyncio.shield(self._task)
        return self._keys.get(kid)

    def _start(self) -> None:
        if self._task is None and time.monotonic() > self._tried_s + _COOLDOWN_S:
            self._tried_s = time.monotonic()
            self._task = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            self._keys = _keys(await asyncio.to_thread(self._fetch))
            self._fetched_s = time.monotonic()
        except Exception as error:  # whatever a foreign server makes the library raise
            extra = {"action": "jwks_failed", "error": type(error).__name__}
            log.error("the keys of tokens were not fetched; those known stay", extra=extra)
        finally:
            self._task = None


def open_keys(source: str) -> FileKeys | FetchedKeys:
    if not source.startswith("https://"):
        return FileKeys(Path(source))
    return fetched_keys(source)


def fetched_keys(url: str) -> FetchedKeys:
    client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=_TIMEOUT_S)
    return FetchedKeys(client.fetch_data)


def _keys(values: Any) -> Keys:
    """The usable ones by id. Secrets (`oct`) are never among them: all could sign with those."""
    keys = jwt.PyJWKSet.from_dict(values).keys if isinstance(values, dict) else []
    found = {
        key.key_id: key
        for key in keys
        if key.key_id and key.key_type != "oct" and key.public_key_use in (None, "sig")
    }
    if not found:
        raise jwt.PyJWKSetError("no public key with an id")
    return found
