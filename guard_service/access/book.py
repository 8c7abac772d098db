"""The access file: API keys by hash, certificates by URI, and what their tenants may use."""

import json
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from guard_service.access.key import key_id, matches
from guard_service.access.principal import Credentials, Principal
from guard_service.batching.entry import Lane
from guard_service.config import Limited
from guard_service.errors import AccessInvalid, Unauthenticated
from guard_service.policy import Policy
from guard_service.review.account import Role

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Identifier  # several keys of one name: a rotation
    tenant: Identifier
    policies: Annotated[frozenset[Identifier], Field(min_length=1)] | None = None
    lanes: Annotated[frozenset[Lane], Field(min_length=1)] | None = None
    roles: frozenset[Role] | None = None
    cleared: bool = False

    @property
    def principal(self) -> Principal:
        return Principal(
            self.tenant, self.name, self.policies, self.lanes, self.roles, self.cleared
        )


class Key(_Entry):
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    expires: AwareDatetime | None = None

    @property
    def is_expired(self) -> bool:
        return self.expires is not None and self.expires.timestamp() <= time.time()


class Certificate(_Entry):
    uri: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*://\S+$", max_length=2048)]


class Tenant(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: Limited | None = None  # None: what the settings say
    tokens_per_minute: Limited | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = []
    certificates: list[Certificate] = []
    tenants: dict[Identifier, Tenant] = {}


@dataclass(frozen=True, slots=True)
class Book:
    """Everyone in an access file, by what they prove."""

    keys: Mapping[str, Key]
    certificates: Mapping[str, Certificate]
    tenants: Mapping[str, Tenant]

    def find_key(self, text: str) -> Principal:
        """Whose key this is; Unauthenticated after the same work whatever is wrong with it."""
        key = self.keys.get(key_id(text) or "")
        is_right = matches(text, key.sha256 if key else None)
        if key is None or not is_right or key.is_expired:
            raise Unauthenticated
        return key.principal

    def find_certificate(self, credentials: Credentials) -> Principal:
        """Whose certificate this is: exactly one of its URIs is in the file."""
        found = [self.certificates[uri] for uri in credentials.uris if uri in self.certificates]
        if len(found) != 1 or credentials.certificate_expires_s <= time.time():
            raise Unauthenticated
        return found[0].principal

    def check_policies(self, policies: Mapping[str, Policy]) -> None:
        """AccessInvalid where an entry allows a policy that does not exist."""
        entries: list[_Entry] = [*self.keys.values(), *self.certificates.values()]
        missing = {
            f"{entry.name}: no policy {policy}"
            for entry in entries
            for policy in sorted((entry.policies or frozenset()) - policies.keys())
        }
        if missing:
            raise AccessInvalid("access_file: " + "; ".join(sorted(missing)))


EMPTY = Book({}, {}, {})


def read_book(path: Path) -> Book:
    """The access file at `path`, TOML or JSON; AccessInvalid with every problem and no value."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        file = _File.model_validate(values)
    except ValidationError as error:
        raise AccessInvalid(f"{path.name}: " + "; ".join(_problems(error))) from None
    except ValueError:  # not its text, which may quote a line
        raise AccessInvalid(f"{path.name}: not TOML (or, as *.json, not JSON)") from None
    except OSError as error:
        raise AccessInvalid(f"{path}: {error.strerror}") from None
    keys = {key.id: key for key in file.keys}
    certificates = {certificate.uri: certificate for certificate in file.certificates}
    if len(keys) < len(file.keys) or len(certificates) < len(file.certificates):
        raise AccessInvalid(f"{path.name}: the same id or uri twice")
    return Book(keys, certificates, file.tenants)


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        yield f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
