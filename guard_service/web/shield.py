"""Before every route: which host was meant, where a change comes from, what a page may load."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SAFE_METHODS = {"GET", "HEAD"}


class Shield:
    """Answers 403 itself; a route that is added later is behind it like all others."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._hosts = frozenset(urlsplit(origin).netloc for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no WebSockets here
            return await self._app(scope, receive, send)

        async def send_shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                is_static = scope["path"].startswith("/static/")
                headers["cache-control"] = "no-cache" if is_static else "no-store"
            await send(message)

        if problem := self._problem(scope["method"], Headers(scope=scope)):
            return await PlainTextResponse(problem, 403)(scope, receive, send_shielded)
        return await self._app(scope, receive, send_shielded)

    def _problem(self, method: str, headers: Headers) -> str | None:
        """Why this is not answered. A page of another site can name neither our host nor origin."""
        if headers.get("host", "") not in self._hosts:
            return "This is not the address of the console: see console_origin."
        if method in _SAFE_METHODS:
            return None
        if headers.get("origin") not in self._origins:
            return "This change does not come from a page of the console."
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return "This change comes from another site."
        return None
