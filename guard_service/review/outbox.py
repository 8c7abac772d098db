"""Events in the database: written with what they tell of, then placed in one order, read, deleted.

A reader that remembers the last sequence it saw misses rows: a transaction that drew a lower one
can still commit. So committed rows get positions, one batch at a time, and readers go by those.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)

from guard_service.errors import CursorUnknown
from guard_service.review.dialect import clock_ms, now_ms
from guard_service.review.event import Event, EventKind, Slice
from guard_service.review.row import utc_from_ms
from guard_service.review.table import review_events, review_feed, review_sinks

events = review_events.c

_MAX_PLACED = 1000  # in one transaction
MAX_PURGED = 10_000

_INSERT = insert(review_events).values(occurred_ms=now_ms())


def event(kind: EventKind, item_id: str, tenant: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of one event."""
    told = {"kind": kind.value, "item_id": item_id, "tenant": tenant, "data": json.dumps(data)}
    return {"id": uuid.uuid4().hex, **told}


def record(
    connection: Connection, kind: EventKind, item_id: str, tenant: str, data: Mapping[str, Any]
) -> None:
    """Write the event in the transaction of what it tells of."""
    record_all(connection, [event(kind, item_id, tenant, data)])


def record_all(connection: Connection, told: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(_INSERT, told)


def head_of(connection: Connection) -> int:
    """The position of the last event that has one."""
    return int(connection.execute(select(review_feed.c.head)).scalar_one())


def has_unplaced(connection: Connection) -> bool:
    unplaced = select(events.sequence).where(events.position.is_(None)).limit(1)
    return connection.execute(unplaced).scalar() is not None


def place(connection: Connection) -> int:
    """Give committed events their positions, those of an item in the order of its changes.

    The feed's row is locked until the positions are seen: no lower one can come after a higher one.
    Where another server is at it, there is nothing to do. How many were placed.
    """
    locked = select(review_feed.c.head).with_for_update(skip_locked=True)
    head = connection.execute(locked).scalar()
    if head is None:
        return 0
    number = func.row_number().over(order_by=events.sequence)
    unplaced = select(events.sequence, (literal(head) + number).label("position"))
    unplaced = unplaced.where(events.position.is_(None)).order_by(events.sequence)
    placed = unplaced.limit(_MAX_PLACED).subquery()
    statement = update(review_events).values(position=placed.c.position)
    num_placed: int = connection.execute(
        statement.where(events.sequence == placed.c.sequence)
    ).rowcount
    connection.execute(update(review_feed).values(head=head + num_placed))
    return num_placed


def read(connection: Connection, after: int | None, tenant: str | None, limit: int) -> Slice:
    """Events after this position, None: from the oldest; of one tenant, or with None of all.

    CursorUnknown where some of them are deleted, or the feed has not come so far. What is deleted
    is looked up last: it may happen meanwhile.
    """
    head = head_of(connection)
    if after is None:
        after = _purged(connection)
    of_reader: list[ColumnElement[bool]] = [events.position > after, events.position <= head]
    if tenant is not None:
        of_reader.append(events.tenant == tenant)
    statement = select(review_events).where(*of_reader).order_by(events.position).limit(limit)
    found = tuple(map(_event, connection.execute(statement).mappings()))
    if not _purged(connection) <= after <= head:
        raise CursorUnknown
    return Slice(found, found[-1].position if len(found) == limit else head)


def purge(connection: Connection, kept_ms: int) -> int:
    """Delete the oldest events that are older than that and that every sink has; how many.

    A sink that no server has served for as long keeps nothing back.
    """
    oldest_ms = clock_ms(connection) - kept_ms
    is_served = review_sinks.c.lease_until_ms > oldest_ms
    had_by_all = select(func.min(review_sinks.c.position)).where(is_served).scalar_subquery()
    first = select(events.position, events.occurred_ms).where(
        events.position <= func.coalesce(had_by_all, head_of(connection))
    )
    first_ones = first.order_by(events.position).limit(MAX_PURGED).subquery()
    is_old = first_ones.c.occurred_ms < oldest_ms
    last = connection.execute(select(func.max(first_ones.c.position)).where(is_old)).scalar()
    if last is None:
        return 0
    connection.execute(update(review_feed).values(purged=last))
    return connection.execute(delete(review_events).where(events.position <= last)).rowcount


def _purged(connection: Connection) -> int:
    return int(connection.execute(select(review_feed.c.purged)).scalar_one())


def _event(row: RowMapping) -> Event:
    return Event(
        id=row["id"],
        kind=EventKind(row["kind"]),
        item_id=row["item_id"],
        tenant=row["tenant"],
        occurred_at=utc_from_ms(row["occurred_ms"]),
        data=json.loads(row["data"]),
        position=row["position"],
    )
