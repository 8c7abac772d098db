"""The audit log: who did what to which item, written with what they did. Without text.

Entries are linked once they are committed, in one order, each by a hash over itself and the link
before; see `chain.py`. The database refuses to change or delete them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update

from guard_service.review.chain import START, Entry, Head, link
from guard_service.review.database import Database
from guard_service.review.dialect import now_ms
from guard_service.review.table import review_audit, review_feed

T = TypeVar("T")

audit = review_audit.c

_MAX_LINKED = 1000  # in one transaction

_INSERT = insert(review_audit).values(at_ms=now_ms())


class Act(Enum):
    DECIDED = "decided"  # of the service: people will look
    READ = "read"  # a text left the store for somebody's eyes
    RESOLVED = "resolved"  # somebody said what they see, in one look
    RETRACTED = "retracted"
    APPEALED = "appealed"
    MARKED_GOLDEN = "marked_golden"
    ERASED = "erased"  # a text, after its time or with its subject; without an item: a subject
    CALIBRATED = "calibrated"  # thresholds were drawn from what people said; of no item
    PROMOTED = "promoted"  # a policy was put in force; of no item
    ROLLED_BACK = "rolled_back"  # and an earlier one again


def entry(
    act: Act, item_id: str, tenant: str, actor: str = "", **details: object
) -> dict[str, Any]:
    """What is written of one act; details are never what users wrote.

    It can never be taken out again: nothing belongs here that must be erased one day.
    """
    told = json.dumps(details, sort_keys=True, separators=(",", ":"))
    who = {"act": act.value, "item_id": item_id, "tenant": tenant, "actor": actor}
    return {**who, "details": told}


def note(
    connection: Connection,
    act: Act,
    item_id: str,
    tenant: str,
    actor: str = "",
    **details: object,
) -> None:
    """Write the entry in the transaction of what it tells of."""
    note_all(connection, [entry(act, item_id, tenant, actor, **details)])


def note_all(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(_INSERT, entries)


async def note_act(
    database: Database,
    act: Act,
    actor: str,
    work: Callable[[], T],
    told: Callable[[T], Mapping[str, object]],
) -> T:
    """Do what is of no item, and write what it did; where it fails there is nothing to tell."""

    def noted(connection: Connection) -> T:
        done = work()
        note(connection, act, "", "", actor, **told(done))
        return done

    return await database.run(noted)


def has_unlinked(connection: Connection) -> bool:
    unlinked = select(audit.sequence).where(audit.position.is_(None)).limit(1)
    return connection.execute(unlinked).scalar() is not None


def num_unlinked(connection: Connection) -> int:
    unlinked = select(func.count()).where(audit.position.is_(None))
    return int(connection.execute(unlinked).scalar_one())


def link_entries(connection: Connection) -> int:
    """Link committed entries to the last link; how many.

    One at a time by the lock that positions of events are given under: writers never wait for it,
    and where another server has it there is nothing to do.
    """
    locked = select(review_feed.c.id).with_for_update(skip_locked=True)
    if connection.execute(locked).scalar() is None:
        return 0
    unlinked = select(review_audit).where(audit.position.is_(None))
    unlinked = unlinked.order_by(audit.sequence).limit(_MAX_LINKED)
    head, links = head_of(connection), []
    for row in connection.execute(unlinked).mappings().all():
        head = link(head, _entry(row))
        links.append({"of": row["sequence"], "position": head.position, "hash": head.hash})
    if links:
        linked = update(review_audit).where(audit.sequence == bindparam("of"))
        connection.execute(linked, links)
    return len(links)


def head_of(connection: Connection) -> Head:
    """The last link."""
    last = select(audit.position, audit.hash).where(audit.position.is_not(None))
    row = connection.execute(last.order_by(audit.position.desc()).limit(1)).one_or_none()
    return Head(*row) if row else START


def entries_after(connection: Connection, position: int, limit: int) -> Sequence[Entry]:
    """Linked entries in their order."""
    after = select(review_audit).where(audit.position > position)
    rows = connection.execute(after.order_by(audit.position).limit(limit)).mappings()
    return tuple(map(_entry, rows))


def _entry(row: RowMapping) -> Entry:
    told: dict[str, Any] = {name: row[name] for name in Entry.__dataclass_fields__}
    return Entry(**told)
