"""JWTs: signed by a known key, from our issuer, for us, not expired, with a tenant."""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
from pydantic import TypeAdapter, ValidationError

from guard_service.access.book import Identifier
from guard_service.access.principal import Principal
from guard_service.batching.entry import Lane
from guard_service.errors import Unauthenticated
from guard_service.review.account import Role

_LEEWAY_S = 5.0  # between the issuer's clock and ours
_MAX_KNOWN = 1024
_REQUIRED = ["exp", "iss", "aud", "sub"]

_identifier = TypeAdapter(Identifier)
_identifiers = TypeAdapter(frozenset[Identifier] | None)
_lanes = TypeAdapter(frozenset[Lane] | None)


class KeySource(Protocol):
    async def find(self, kid: str) -> jwt.PyJWK | None: ...


@dataclass(frozen=True, slots=True)
class Expected:
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    tenant_claim: str
    roles_claim: str = ""  # empty: tokens say nothing of roles


@dataclass(frozen=True, slots=True)
class _Known:
    """A token whose signature was found right with this key."""

    principal: Principal
    key: jwt.PyJWK
    expires_s: float


class TokenReader:
    """Remembers tokens it verified, by hash: a signature costs far more than a look."""

    def __init__(self, keys: KeySource, expected: Expected) -> None:
        self._keys = keys
        self._expected = expected
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def read(self, token: str) -> Principal:
        """Whose token this is; Unauthenticated for any that is not right in every part."""
        digest = hashlib.sha256(token.encode()).digest()
        try:
            key = await self._keys.find(jwt.get_unverified_header(token)["kid"])
            known = self._known.get(digest)
            if key is None:
                raise Unauthenticated
            if known is None or known.key is not key:
                known = self._verify(token, key)
                self._keep(digest, known)
        except (jwt.PyJWTError, ValidationError, KeyError, ValueError, TypeError, RecursionError):
            raise Unauthenticated from None
        if known.expires_s <= time.time():
            raise Unauthenticated
        return known.principal

    def _verify(self, token: str, key: jwt.PyJWK) -> _Known:
        claims = jwt.decode(
            token,
            key,
            algorithms=self._expected.algorithms,
            issuer=self._expected.issuer,
            audience=self._expected.audience,
            leeway=_LEEWAY_S,
            options={"require": _REQUIRED, "enforce_minimum_key_length": True},
        )
        return _Known(self._principal(claims), key, claims["exp"] + _LEEWAY_S)

    def _principal(self, claims: dict[str, Any]) -> Principal:
        return Principal(
            _identifier.validate_python(claims[self._expected.tenant_claim]),
            str(claims["sub"]),
            _identifiers.validate_python(claims.get("policies")),
            _lanes.validate_python(claims.get("lanes")),
            self._roles(claims),
            claims.get("cleared") is True,
        )

    def _roles(self, claims: dict[str, Any]) -> frozenset[Role] | None:
        """Ours among those that the issuer names: none, where the token should say and does not."""
        if not self._expected.roles_claim:
            return None
        named = claims.get(self._expected.roles_claim, [])
        named = [named] if isinstance(named, str) else named
        return frozenset(role for role in Role if role.value in named)

    def _keep(self, digest: bytes, known: _Known) -> None:
        self._known[digest] = known
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
