"""A reviewer's own day: what they resolved, how fast, what they had to read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from guard_service.review.claim import Held
from guard_service.review.database import Database
from guard_service.review.dialect import clock_ms
from guard_service.review.item import Outcome
from guard_service.review.row import utc_from_ms
from guard_service.review.table import review_items, review_reads, review_resolutions

items, looks, reads = review_items.c, review_resolutions.c, review_reads.c

_DAY_MS, _HOUR_MS = 24 * 3600 * 1000, 3600 * 1000
_NUM_RECENT = 8


@dataclass(frozen=True, slots=True)
class Said:
    """One resolution of their own; with an undo while the lease would have lasted."""

    held: Held
    outcome: Outcome
    codes: tuple[str, ...]
    at: datetime
    can_undo: bool


@dataclass(frozen=True, slots=True)
class Diary:
    """Of the last 24 hours."""

    num_resolved: int
    num_last_hour: int
    reads_by_category: Mapping[str, int]
    recent: tuple[Said, ...]

    @property
    def num_reads(self) -> int:
        return sum(self.reads_by_category.values())

    @property
    def last_undoable(self) -> Said | None:
        """Only the newest resolution can be taken back by a single key."""
        return self.recent[0] if self.recent and self.recent[0].can_undo else None


async def read_diary(database: Database, reviewer: str) -> Diary:
    return await database.read(lambda c: _diary(c, reviewer))


def _diary(connection: Connection, reviewer: str) -> Diary:
    now_ms = clock_ms(connection)
    mine = looks.reviewer == reviewer

    def num_since(ms: int) -> int:
        statement = select(func.count()).where(mine, looks.resolved_ms > now_ms - ms)
        return int(connection.execute(statement).scalar_one())

    return Diary(
        num_since(_DAY_MS),
        num_since(_HOUR_MS),
        _reads(connection, reviewer, now_ms),
        _recent(connection, reviewer, now_ms),
    )


def _reads(connection: Connection, reviewer: str, now_ms: int) -> dict[str, int]:
    statement = (
        select(items.category, func.count())
        .join(review_reads, reads.item_id == items.id)
        .where(reads.reviewer == reviewer, reads.read_ms > now_ms - _DAY_MS)
        .group_by(items.category)
        .order_by(func.count().desc())
    )
    return {category: count for category, count in connection.execute(statement)}


def _recent(connection: Connection, reviewer: str, now_ms: int) -> tuple[Said, ...]:
    statement = (
        select(review_resolutions, items.token.label("token_now"))
        .join(review_items, items.id == looks.item_id)
        .where(looks.reviewer == reviewer, looks.resolved_ms > now_ms - _DAY_MS)
        .order_by(looks.resolved_ms.desc(), looks.token.desc())
        .limit(_NUM_RECENT)
    )
    return tuple(
        Said(
            Held(row["item_id"], row["token"]),
            Outcome(row["outcome"]),
            tuple(filter(None, row["codes"].split(","))),
            utc_from_ms(row["resolved_ms"]),
            row["undo_until_ms"] > now_ms and row["token"] == row["token_now"],
        )
        for row in connection.execute(statement).mappings()
    )
