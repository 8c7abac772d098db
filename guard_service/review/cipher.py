"""Seals the texts that a policy keeps: AES-256-GCM, each with a key that its tenant's key seals."""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from guard_service.conversation import Conversation, Message, Role, ToolCall
from guard_service.errors import SettingsInvalid

_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A text's own key, under the tenant's key of that id; without data it is the tenant's."""

    key_id: str
    data: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    text: bytes = field(repr=False)
    key: SealedKey


@dataclass(frozen=True, slots=True)
class Note:
    """A reviewer's note as the database has it: without a key id as it was written."""

    text: str = field(repr=False)
    key_id: str = ""


class Sealer:
    """Seals with the first key and opens with any; without one, with a key of this process."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._is_lasting = bool(keys)
        keys = keys or (os.urandom(_KEY_BYTES),)
        self._keys = {hashlib.sha256(key).hexdigest()[:16]: key for key in keys}
        self._first = next(iter(self._keys))

    def seal(self, conversation: Conversation, tenant: str, item_id: str) -> Sealed:
        own, text = os.urandom(_KEY_BYTES), json.dumps(_to_json(conversation)).encode()
        key = _encrypt(self._cipher(self._first, tenant), own, f"key of {item_id}")
        return Sealed(_encrypt(AESGCM(own), text, item_id), SealedKey(self._first, key))

    def open(self, sealed: Sealed, tenant: str, item_id: str) -> Conversation | None:
        """The conversation; None where its key is gone, or it is not what was sealed there."""
        key = sealed.key
        if key.key_id not in self._keys:
            return None
        cipher = self._cipher(key.key_id, tenant)
        try:
            if key.data:
                cipher = AESGCM(_decrypt(cipher, key.data, f"key of {item_id}"))
            return _from_json(json.loads(_decrypt(cipher, sealed.text, item_id)))
        except InvalidTag:
            return None

    def seal_note(self, note: str, tenant: str, item_id: str) -> Note:
        """As it is where no key of ours outlives this process, and where there is none."""
        if not (note and self._is_lasting):
            return Note(note)
        cipher, text = self._cipher(self._first, tenant), note.encode("utf-8", "surrogatepass")
        sealed = _encrypt(cipher, text, f"note of {item_id}")
        return Note(base64.b64encode(sealed).decode(), self._first)

    def open_note(self, note: Note, tenant: str, item_id: str) -> str:
        """Empty where its key is gone, or it is not what was sealed there."""
        if not note.key_id or not note.text:
            return note.text
        if note.key_id not in self._keys:
            return ""
        cipher, sealed = self._cipher(note.key_id, tenant), base64.b64decode(note.text)
        try:
            opened = _decrypt(cipher, sealed, f"note of {item_id}")
        except InvalidTag:
            return ""
        return opened.decode("utf-8", "surrogatepass")

    def _cipher(self, key_id: str, tenant: str) -> AESGCM:
        info = b"guard review text\x00" + tenant.encode()
        return AESGCM(HKDF(SHA256(), _KEY_BYTES, None, info).derive(self._keys[key_id]))


def read_keys(text: str) -> tuple[bytes, ...]:
    """Keys of 32 bytes in base64, one a line, the one to seal with first."""
    try:
        keys = tuple(base64.b64decode(line, validate=True) for line in text.split())
    except binascii.Error:
        keys = (b"",)
    if any(len(key) != _KEY_BYTES for key in keys):
        raise SettingsInvalid(f"review_keys: each line is {_KEY_BYTES} bytes in base64")
    return keys


def _encrypt(cipher: AESGCM, data: bytes, about: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, about.encode())


def _decrypt(cipher: AESGCM, data: bytes, about: str) -> bytes:
    return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], about.encode())


def _to_json(conversation: Conversation) -> list[Any]:
    return [
        [m.role.value, m.content, m.name, [[c.name, c.arguments_json] for c in m.tool_calls]]
        for m in conversation.messages
    ]


def _from_json(rows: list[Any]) -> Conversation:
    return Conversation(
        tuple(
            Message(Role(role), content, tuple(ToolCall(*call) for call in calls), name)
            for role, content, name, calls in rows
        )
    )
