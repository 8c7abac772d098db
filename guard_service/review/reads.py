"""Who read the text of an item, and when."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from guard_service.review.database import Database
from guard_service.review.row import utc_from_ms
from guard_service.review.table import review_reads

reads = review_reads.c

_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Read:
    reviewer: str
    at: datetime


async def reads_of(database: Database, item_id: str) -> tuple[Read, ...]:
    """The newest first."""
    statement = select(reads.reviewer, reads.read_ms).where(reads.item_id == item_id)
    newest = statement.order_by(reads.sequence.desc()).limit(_MAX_SHOWN)
    return await database.read(
        lambda c: tuple(Read(name, utc_from_ms(ms)) for name, ms in c.execute(newest))
    )
