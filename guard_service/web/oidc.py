"""Log in at an OpenID provider: the authorization code flow with PKCE, state and nonce.

The provider says who somebody is; what they may do stands with the account of that name here.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import jwt

from guard_service.access.exposure import is_loopback
from guard_service.access.jwks import FetchedKeys, fetched_keys
from guard_service.errors import LoginRefused, Unavailable

_TIMEOUT_S = 5.0
_LEEWAY_S = 5.0
_REQUIRED = ["exp", "iat", "iss", "aud", "sub", "nonce"]
# Asymmetric alone, as for the tokens of callers.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


@dataclass(frozen=True, slots=True)
class Client:
    """What the provider knows this console by, and `claim`: what of its answer is the name."""

    issuer: str
    client_id: str
    secret: str = field(default="", repr=False)
    claim: str = "sub"

    @property
    def provider(self) -> str:
        return urlsplit(self.issuer).netloc


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login under way. The browser keeps it in a cookie that no other site can set or read."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def new(cls) -> "Attempt":
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @classmethod
    def from_cookie(cls, text: str) -> "Attempt":
        parts = text.split(".")
        if len(parts) != 3 or not all(parts):
            raise LoginRefused("the login took too long, or was begun elsewhere")
        return cls(*parts)

    @property
    def cookie(self) -> str:
        return f"{self.state}.{self.nonce}.{self.verifier}"

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Provider:
    """What the issuer says of itself is asked once, at the first login."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._about: dict[str, Any] | None = None
        self._keys: FetchedKeys | None = None

    async def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser goes to log in."""
        about = await self._discover()
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email profile",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{about['authorization_endpoint']}?{urlencode(asked)}"

    async def name(self, attempt: Attempt, answer: dict[str, str], redirect_uri: str) -> str:
        """Whom the provider says it was; LoginRefused where any part of that is not right."""
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise LoginRefused("the login was begun elsewhere")
        if answer.get("iss", self.client.issuer) != self.client.issuer:
            raise LoginRefused("another provider answered")
        if "code" not in answer:
            raise LoginRefused("the provider let nobody in")
        claims = await self._verify(await self._redeem(attempt, answer["code"], redirect_uri))
        if not hmac.compare_digest(str(claims["nonce"]).encode(), attempt.nonce.encode()):
            raise LoginRefused("the provider answered another login")
        return self._named(claims)

    async def _redeem(self, attempt: Attempt, code: str, redirect_uri: str) -> str:
        """The identity token for the code."""
        about, client = await self._discover(), self.client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": attempt.verifier,
            "client_id": client.client_id,
        }
        if client.secret:
            form["client_secret"] = client.secret
        answer = await self._ask("POST", about["token_endpoint"], form)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise LoginRefused("the provider let nobody in")
        return token

    async def _verify(self, token: str) -> dict[str, Any]:
        keys = self._keys
        assert keys, "This is a bug: the provider's keys are known before its tokens."
        try:
            key = await keys.find(jwt.get_unverified_header(token)["kid"])
            if key is None:
                raise LoginRefused("the provider's answer is signed with a key that is not its own")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                issuer=self.client.issuer,
                audience=self.client.client_id,
                leeway=_LEEWAY_S,
                options={"require": _REQUIRED, "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, RecursionError):
            raise LoginRefused("the provider's answer is not right") from None
        if claims.get("azp", self.client.client_id) != self.client.client_id:
            raise LoginRefused("the provider's answer is for others")
        return claims

    def _named(self, claims: dict[str, Any]) -> str:
        name = claims.get(self.client.claim)
        if self.client.claim == "email" and claims.get("email_verified") is not True:
            raise LoginRefused("the provider has not verified the address")
        if not isinstance(name, str) or not name:
            raise LoginRefused("the provider did not say who it was")
        return name

    async def _discover(self) -> dict[str, Any]:
        if self._about is None:
            path = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
            about = await self._ask("GET", path)
            ends = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            is_whole = about.get("issuer") == self.client.issuer
            if not is_whole or not all(is_safe(about.get(end)) for end in ends):
                raise Unavailable("the login provider does not say what it should of itself")
            self._keys = fetched_keys(about["jwks_uri"])
            self._about = about
        return self._about

    async def _ask(self, method: str, url: str, form: dict[str, str] | None = None) -> Any:
        """Its JSON; redirects are not followed, and what it says is not passed on."""
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
                response = await http.request(method, url, data=form)
            answer = response.json()
        except (httpx.HTTPError, ValueError):
            raise Unavailable("the login provider does not answer") from None
        if response.status_code != 200 or not isinstance(answer, dict):
            if method == "POST" and response.status_code < 500:
                raise LoginRefused("the provider let nobody in")
            raise Unavailable("the login provider does not answer")
        return answer


def is_safe(url: object) -> bool:
    """Over TLS, or to this machine."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
