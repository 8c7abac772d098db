"""Serves the console from the event loop that serves gRPC, until it is told to stop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from guard_service.access.exposure import is_loopback
from guard_service.config import Settings, split_address
from guard_service.errors import SettingsInvalid
from guard_service.policy import Policy
from guard_service.review.claim import Shares
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.web.console import Rooms, console
from guard_service.web.oidc import Client

_GRACE_S = 5  # for pages under way


class ConsoleServer:
    """Its port is open from the start, or SettingsInvalid; with `off` there is none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket = None if settings.console == "off" else _listen(settings.console)
        self.port: int | None = self._socket.getsockname()[1] if self._socket else None

    @property
    def origins(self) -> tuple[str, ...]:
        """What a browser may call this server."""
        if self._settings.console_origin:
            return (self._settings.console_origin,)
        scheme = "https" if self._settings.tls_certificate else "http"
        host, _ = split_address(self._settings.console)
        names = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(host) else [host]
        return tuple(f"{scheme}://{name}:{self.port}" for name in names)

    @asynccontextmanager
    async def serving(
        self, store: ReviewStore, policies: Mapping[str, Policy]
    ) -> AsyncIterator[None]:
        """Answer meanwhile; pages under way are finished."""
        if self._socket is None:
            yield
            return
        server = _Server(self._config(console(self._rooms(store, policies), self.origins)))
        task = asyncio.create_task(server.serve([self._socket]))
        try:
            yield
        finally:
            server.should_exit = True
            await task
            self._socket.close()

    def _rooms(self, store: ReviewStore, policies: Mapping[str, Policy]) -> Rooms:
        settings = self._settings
        shares = Shares(settings.review_random_share, settings.review_golden_share)
        queue = ReviewQueue(store, shares)
        return Rooms(
            store,
            queue,
            policies,
            settings.review_lease_s,
            settings.console_restricted,
            _login(settings),
        )

    def _config(self, app: ASGIApp) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            ssl_certfile=self._settings.tls_certificate,
            ssl_keyfile=self._settings.tls_key,
            log_config=None,
            access_log=False,  # paths hold ids, and nobody needs a line for each page
            server_header=False,
            proxy_headers=False,  # anybody could send them
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
        )


def _login(settings: Settings) -> Client | None:
    if not settings.console_oidc_issuer:
        return None
    return Client(
        settings.console_oidc_issuer,
        settings.console_oidc_client_id,
        settings.console_oidc_client_secret,
        settings.console_oidc_claim,
    )


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the whole service's."""
        yield


def _listen(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family)
    except OSError:
        raise SettingsInvalid(f"console: cannot listen on {address}; port 0 takes any") from None
