import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from credentials import AUDIENCE, ISSUER, Signer

from guard_service.access.principal import Principal
from guard_service.access.token import Expected, TokenReader
from guard_service.batching.entry import Lane
from guard_service.errors import Unauthenticated
from guard_service.review.account import Role

SIGNER = Signer()
EXPECTED = Expected(ISSUER, AUDIENCE, ("RS256", "ES256", "EdDSA"), "tenant")


class Keys:
    def __init__(self, *signers: Signer) -> None:
        self.known = {signer.kid: jwt.PyJWK.from_dict(signer.jwk) for signer in signers}

    async def find(self, kid: str) -> jwt.PyJWK | None:
        return self.known.get(kid)


def reader(*signers: Signer, **expected: Any) -> TokenReader:
    return TokenReader(Keys(*signers), Expected(**(vars_of(EXPECTED) | expected)))


def vars_of(expected: Expected) -> dict[str, Any]:
    return {name: getattr(expected, name) for name in Expected.__slots__}


async def test_a_right_token_is_its_tenant_and_subject() -> None:
    assert await reader(SIGNER).read(SIGNER.token()) == Principal("acme", "svc|1")


async def test_claims_may_narrow_what_is_allowed_and_name_the_tenant() -> None:
    token = SIGNER.token(policies=["kids"], lanes=["bulk"], org="beta")
    principal = await reader(SIGNER, tenant_claim="org").read(token)
    assert principal == Principal("beta", "svc|1", frozenset({"kids"}), frozenset({Lane.BULK}))


@pytest.mark.parametrize(
    ("claims", "roles"),
    [
        ({"groups": ["lead", "everyone"]}, {Role.LEAD}),
        ({"groups": "reviewer"}, {Role.REVIEWER}),
        ({"groups": ["leads"]}, set()),
        ({"groups": []}, set()),
        ({}, set()),
    ],
)
async def test_where_tokens_name_roles_one_that_names_none_has_none(
    claims: dict[str, Any], roles: set[Role]
) -> None:
    principal = await reader(SIGNER, roles_claim="groups").read(SIGNER.token(**claims))
    assert principal.roles == roles


async def test_roles_are_read_only_where_it_is_said_where_they_are() -> None:
    principal = await reader(SIGNER).read(SIGNER.token(roles=["admin"], role="admin"))
    assert principal.roles is None


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": time.time() - 60},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": time.time() + 600},
        {"iss": None},
        {"iss": ISSUER + "/"},
        {"aud": None},
        {"aud": ["others"]},
        {"sub": None},
        {"tenant": None},
        {"tenant": ""},
        {"tenant": "a b"},
        {"tenant": ["acme"]},
        {"policies": "kids"},
        {"lanes": ["fast"]},
    ],
    ids=str,
)
async def test_a_claim_that_is_missing_or_wrong_refuses_the_token(
    claims: Mapping[str, Any],
) -> None:
    with pytest.raises(Unauthenticated):
        await reader(SIGNER).read(SIGNER.token(**claims))


def signed_with_public_key(algorithm: str) -> str:
    """The classic forgery: the public key taken as the secret of a symmetric algorithm."""
    header = {"alg": algorithm, "typ": "JWT", "kid": SIGNER.kid}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "tenant": "acme", "exp": 2**33}
    parts = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in (header, claims)
    ]
    body = b".".join(parts)
    secret = json.dumps(SIGNER.jwk).encode()
    signature = hmac.digest(secret, body, hashlib.sha256) if algorithm != "none" else b""
    return (body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "HS512"])
async def test_only_the_pinned_algorithms_are_taken(algorithm: str) -> None:
    with pytest.raises(Unauthenticated):
        await reader(SIGNER).read(signed_with_public_key(algorithm))


async def test_an_algorithm_that_is_not_pinned_is_refused_though_its_key_is_known() -> None:
    with pytest.raises(Unauthenticated):
        await reader(SIGNER, algorithms=("RS256",)).read(SIGNER.token())


async def test_a_token_that_was_read_before_still_expires_and_still_needs_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = Keys(SIGNER)
    tokens = TokenReader(keys, EXPECTED)
    token = SIGNER.token(exp=time.time() + 60)
    assert await tokens.read(token) == await tokens.read(token)
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now + 66)
        with pytest.raises(Unauthenticated):
            await tokens.read(token)
    keys.known = Keys(Signer(SIGNER.kid)).known  # exchanged under the same id
    with pytest.raises(Unauthenticated):
        await tokens.read(token)


async def test_only_so_many_tokens_are_remembered() -> None:
    tokens = reader(SIGNER)
    for number in range(1100):
        await tokens.read(SIGNER.token(sub=str(number)))
    assert len(tokens._known) == 1024
