"""API keys: `gk_<id>_<secret>`. Only their SHA-256 is kept; 256 random bits need no salt."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

_PREFIX = "gk"
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class NewKey:
    id: str
    text: str = field(repr=False)  # told once

    @property
    def sha256(self) -> str:
        return digest(self.text)


def make_key() -> NewKey:
    id = secrets.token_hex(6)
    return NewKey(id, f"{_PREFIX}_{id}_{secrets.token_urlsafe(32)}")


def key_id(text: str) -> str | None:
    """The id that a text of this form names; None for what is no key of ours."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == _PREFIX else None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def matches(text: str, sha256: str | None) -> bool:
    """Whether the text is the key kept as `sha256`; does the same work where there is none."""
    return hmac.compare_digest(digest(text), sha256 or _NO_HASH) and sha256 is not None
