"""/metrics, /healthz and /readyz over HTTP, in threads, so that a stalled event loop is seen."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Literal
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from guard_service.errors import SettingsInvalid
from guard_service.sight.gauges import Gauges, Sources
from guard_service.sight.metrics import REGISTRY

_PLAIN_TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class Endpoint:
    """Its port is open from the start, or SettingsInvalid; with `off` there is none."""

    def __init__(self, host: str, port: int | Literal["off"]) -> None:
        self._server = None if port == "off" else _listen(host, port)
        self.port = self._server.server_port if self._server else None

    @asynccontextmanager
    async def serving(self, sources: Sources) -> AsyncIterator[None]:
        """Answer meanwhile with what the sources say."""
        if self._server is None:
            yield
            return
        gauges = Gauges(sources)
        self._server.set_app(_application(gauges))
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        try:
            async with gauges.watching():
                yield
        finally:
            self._server.shutdown()
            self._server.server_close()


def _application(gauges: Gauges) -> Callable[..., Iterable[bytes]]:
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app(REGISTRY)
    probes = {"/healthz": gauges.is_alive, "/readyz": gauges.is_ready}

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start)
        if path not in probes:
            start("404 Not Found", _PLAIN_TEXT)
            return [b"/metrics, /healthz, /readyz\n"]
        is_well = probes[path]()
        start("200 OK" if is_well else "503 Service Unavailable", _PLAIN_TEXT)
        return [b"ok\n" if is_well else b"no\n"]

    return answer


def _listen(host: str, port: int) -> "_Server":
    kind = _Server6 if ":" in host else _Server
    try:
        return kind((host.strip("[]"), port), _Request)
    except OSError:
        problem = f"metrics_port: cannot listen on {host}:{port}"
        raise SettingsInvalid(f"{problem}; take another one, 0 for any, or off") from None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without the look-up of the host's name, which can take seconds."""
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), port
        self.setup_environ()

    def handle_error(self, *_: object) -> None:
        """A client that left: its own affair."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Request(WSGIRequestHandler):
    timeout = 10  # of a client that is silent

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: no line for them."""
