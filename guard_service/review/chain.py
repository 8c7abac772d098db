"""The hash chain over the audit log: how an entry is linked, and what is found to be broken.

hash = SHA-256(hash of the link before | JSON of position and content)
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from guard_service.errors import AuditBroken, InvalidRequest, Violation


@dataclass(frozen=True, slots=True)
class Entry:
    act: str
    item_id: str
    tenant: str
    actor: str  # a reviewer's name; empty: the service itself
    at_ms: int
    details: str  # JSON, hashed as it stands here
    position: int | None = None  # both None until it is linked
    hash: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """One link, by which all before it is known: kept elsewhere, it shows what is cut off."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"


START = Head(0, "0" * 64)


def read_head(text: str, field: str) -> Head:
    """What `str` made of a head."""
    position, _, digest = text.partition(":")
    if not position.isdecimal() or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise InvalidRequest((Violation(field, "is POSITION:HASH, as `guard audit head` prints"),))
    return Head(int(position), digest)


def link(head: Head, entry: Entry) -> Head:
    """The head once that entry is linked to it."""
    position = head.position + 1
    content = [
        position,
        entry.act,
        entry.item_id,
        entry.tenant,
        entry.actor,
        entry.at_ms,
        entry.details,
    ]
    canonical = json.dumps(content, separators=(",", ":")).encode("ascii")
    return Head(position, hashlib.sha256(bytes.fromhex(head.hash) + canonical).hexdigest())


def follow(head: Head, entries: Iterable[Entry], known: Head | None = None) -> Head:
    """The head after these entries; AuditBroken names the first that is not what was linked.

    `known` is a head that the log must pass through, where it comes so far.
    """
    for entry in entries:
        linked = link(head, entry)
        if entry.position != linked.position:
            raise AuditBroken(linked.position, "is missing")
        if entry.hash != linked.hash:
            raise AuditBroken(linked.position, "was altered, or is not the one that was there")
        if known and linked.position == known.position and linked != known:
            raise AuditBroken(linked.position, "is not the known head: the log was written anew")
        head = linked
    return head
