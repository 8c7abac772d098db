"""An OpenID provider on loopback, which lets in whoever it is told to, in whatever way."""

import asyncio
import base64
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jwt
import uvicorn
from credentials import Signer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "guard-console", "of-the-client"


@dataclass
class FakeProvider:
    issuer: str
    about: dict[str, Any] = field(default_factory=dict)  # instead of what is right
    claims: dict[str, Any] = field(default_factory=dict)  # the same; None: left out
    signer: Signer = field(default_factory=Signer)
    signs_with: Signer | None = None
    status: int = 200
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # by the code given for it

    def log_in(self, address: str) -> dict[str, str]:
        """What the browser is sent back with, once somebody has logged in at this address."""
        asked = dict(parse_qsl(urlsplit(address).query))
        code = secrets.token_urlsafe(8)
        self.asked[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def token(self, asked: dict[str, str]) -> str:
        now = time.time()
        right = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "ann",
            "iat": now,
            "exp": now + 60,
            "nonce": asked["nonce"],
        }
        claims = {k: v for k, v in (right | self.claims).items() if v is not None}
        key = (self.signs_with or self.signer).key
        return jwt.encode(claims, key, "ES256", headers={"kid": self.signer.kid})

    async def discover(self, _: Request) -> Response:
        at = self.issuer
        right = {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/keys",
        }
        return JSONResponse(right | self.about, self.status)

    async def keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [self.signer.jwk]})

    async def redeem(self, request: Request) -> Response:
        """A code once, for its client, and for the verifier of its challenge."""
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.asked.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_right = asked and (
            form["client_id"] == CLIENT_ID
            and form["client_secret"] == CLIENT_SECRET
            and form["redirect_uri"] == asked["redirect_uri"]
            and (challenge, "S256") == (asked["code_challenge"], asked["code_challenge_method"])
        )
        if not asked or not is_right:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"id_token": self.token(asked), "token_type": "Bearer"}, self.status)


@asynccontextmanager
async def providing() -> AsyncIterator[FakeProvider]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fake = FakeProvider(f"http://127.0.0.1:{listening.getsockname()[1]}")
        routes = [
            Route("/.well-known/openid-configuration", fake.discover),
            Route("/token", fake.redeem, methods=["POST"]),
            Route("/keys", fake.keys),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve([listening]))
        try:
            yield fake
        finally:
            server.should_exit = True
            await task
