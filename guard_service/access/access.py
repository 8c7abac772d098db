"""The one question of the room: who is this? Its answers change whole, on a reload."""

from collections.abc import Mapping
from dataclasses import dataclass

from guard_service.access.book import EMPTY, Book, Tenant, read_book
from guard_service.access.exposure import asks_for_credentials, exposure_problems
from guard_service.access.jwks import FetchedKeys, open_keys
from guard_service.access.principal import ANYONE, Credentials, Principal
from guard_service.access.tls import Tls, read_tls
from guard_service.access.token import Expected, KeySource, TokenReader
from guard_service.config import Settings
from guard_service.errors import SettingsInvalid, Unauthenticated
from guard_service.policy import Policy
from guard_service.quota.budget import Quota


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the settings' files say."""

    book: Book
    signers: KeySource | None
    tls: Tls | None


class Access:
    """Knows principals by API key, token or certificate; `is_open` takes everyone for ANYONE."""

    def __init__(self, settings: Settings) -> None:
        if problems := list(exposure_problems(settings)):
            raise SettingsInvalid("; ".join(problems))
        self.is_open = not asks_for_credentials(settings)
        self._settings = settings
        self._contents = _read(settings, None)
        self._tokens = _token_reader(settings, self._contents)

    @property
    def tls(self) -> Tls | None:
        return self._contents.tls

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Who this is, or Unauthenticated. A header that is wrong is not made up for by TLS."""
        if self.is_open:
            return ANYONE
        if not credentials.authorization:
            return self._contents.book.find_certificate(credentials)
        secret = _bearer(credentials.authorization)
        if secret.startswith("gk_"):
            return self._contents.book.find_key(secret)
        if self._tokens is None:
            raise Unauthenticated
        return await self._tokens.read(secret)

    def quota_of(self, tenant: str) -> Quota:
        """The tenant's own limits, or those of the settings."""
        own = self._contents.book.tenants.get(tenant, Tenant())
        requests, tokens = own.requests_per_minute, own.tokens_per_minute
        return Quota(
            self._settings.requests_per_minute if requests is None else requests,
            self._settings.tokens_per_minute if tokens is None else tokens,
        )

    def check_policies(self, policies: Mapping[str, Policy]) -> None:
        self._contents.book.check_policies(policies)

    def read_again(self, policies: Mapping[str, Policy]) -> Contents:
        """What the same files say now; AccessInvalid changes nothing."""
        contents = _read(self._settings, self._contents)
        contents.book.check_policies(policies)
        return contents

    def take(self, contents: Contents) -> dict[str, str]:
        """From now on these hold; what changed, for the log."""
        before, now = self._contents.book.keys, contents.book.keys
        self._contents = contents
        self._tokens = _token_reader(self._settings, contents)
        return {
            "keys_added": ",".join(sorted(now.keys() - before.keys())) or "-",
            "keys_removed": ",".join(sorted(before.keys() - now.keys())) or "-",
        }


def _read(settings: Settings, before: Contents | None) -> Contents:
    tls = None
    if settings.tls_certificate and settings.tls_key:
        tls = read_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    book = read_book(settings.access_file) if settings.access_file else EMPTY
    signers = before.signers if before else None
    if settings.jwks and not isinstance(signers, FetchedKeys):  # those are fetched again anyway
        signers = open_keys(settings.jwks)
    return Contents(book, signers, tls)


def _token_reader(settings: Settings, contents: Contents) -> TokenReader | None:
    if contents.signers is None:
        return None
    expected = Expected(
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_algorithms,
        settings.jwt_tenant_claim,
        settings.jwt_roles_claim,
    )
    return TokenReader(contents.signers, expected)


def _bearer(headers: tuple[str, ...]) -> str:
    """The secret of `Authorization: Bearer <secret>`, which must be there once."""
    scheme, _, secret = headers[0].partition(" ")
    if len(headers) != 1 or scheme.lower() != "bearer" or not secret.isascii():
        raise Unauthenticated
    return secret
