"""Items for people who work elsewhere, and what they answered there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from functools import partial

from sqlalchemy import Connection, RowMapping, and_, select, update

from guard_service.review.cipher import Sealer
from guard_service.review.claim import Answer, Reviewer
from guard_service.review.database import Database
from guard_service.review.dialect import now_ms
from guard_service.review.item import Lane, Outcome, ReviewItem
from guard_service.review.look import Look, keep_look
from guard_service.review.row import codes_from_text, item_from_row
from guard_service.review.table import of_tenant, review_items, review_resolutions

items, looks = review_items.c, review_resolutions.c

_PAGE = 500
_WAITING = (Lane.RANKED.value, Lane.RANDOM.value)


class Taken(Enum):
    """What became of an answer from elsewhere."""

    RESOLVED = "resolved"
    UNCHANGED = "unchanged"  # this reviewer has looked before
    HELD = "held"  # somebody is at it here
    CLOSED = "closed"  # others have resolved it
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of one tenant, None: of all; and with the resolved ones or not."""

    tenant: str | None = None
    with_closed: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    item: ReviewItem
    outcome: Outcome | None
    seen: tuple[str, ...]
    sequence: int = 0


async def export(database: Database, wanted: Wanted) -> AsyncIterator[Exported]:
    """Oldest first, a page in memory at a time. Golden items are never among them: their answers
    are known.
    """
    after = 0
    while page := await database.read(partial(_page, wanted=wanted, after=after)):
        for each in page:
            yield each
        after = page[-1].sequence


def _page(connection: Connection, wanted: Wanted, after: int) -> list[Exported]:
    lanes = (*_WAITING, Lane.CLOSED.value) if wanted.with_closed else _WAITING
    is_last = and_(looks.item_id == items.id, looks.look == items.looks_wanted)
    statement = (
        select(review_items, looks.codes.label("seen"))
        .outerjoin(review_resolutions, is_last)
        .where(items.sequence > after, items.lane.in_(lanes), *of_tenant(wanted.tenant))
        .order_by(items.sequence)
        .limit(_PAGE)
    )
    return [_exported(row) for row in connection.execute(statement).mappings()]


def _exported(row: RowMapping) -> Exported:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    seen = codes_from_text(row["seen"] or "")
    return Exported(item_from_row(row), outcome, seen, row["sequence"])


def take(
    connection: Connection, reviewer: Reviewer, item_id: str, answer: Answer, sealer: Sealer
) -> Taken:
    """Keep the answer as this reviewer's look, once; what stands in the way is told."""
    row = _row(connection, reviewer, item_id)
    if row is None:
        return Taken.UNKNOWN
    looked = select(looks.look).where(looks.item_id == item_id, looks.reviewer == reviewer.name)
    if connection.execute(looked).scalar() is not None:
        return Taken.UNCHANGED
    if row["lane"] not in _WAITING:
        return Taken.CLOSED
    # As a claim and its resolve in one: the token fences whoever held it before.
    free = update(review_items).where(items.id == item_id, items.lease_until_ms <= now_ms())
    counted = {"holder": "", "token": items.token + 1, "num_looks": items.num_looks + 1}
    changed = connection.execute(free.values(counted).returning(review_items))
    held = changed.mappings().one_or_none()
    if held is None:
        return Taken.HELD
    keep_look(connection, Look(reviewer.name, answer, held, 0, sealer), now_ms())
    return Taken.RESOLVED


def _row(connection: Connection, reviewer: Reviewer, item_id: str) -> RowMapping | None:
    statement = select(review_items).where(items.id == item_id, *of_tenant(reviewer.tenant))
    return connection.execute(statement.with_for_update()).mappings().one_or_none()
