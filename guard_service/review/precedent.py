"""What people said of items like one: of the same text, and of the same strongest category.

Nothing compares meaning.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, select

from guard_service.review.database import Database
from guard_service.review.item import Lane, Outcome, ReviewItem
from guard_service.review.row import item_from_row
from guard_service.review.table import review_items

items = review_items.c

_NUM_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Precedent:
    item: ReviewItem
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Precedents:
    """Closed items of the same tenant, the newest first."""

    same_text: tuple[Precedent, ...]
    same_category: tuple[Precedent, ...]


async def find_precedents(database: Database, item: ReviewItem) -> Precedents:
    return await database.read(lambda c: _find(c, item))


def _find(connection: Connection, item: ReviewItem) -> Precedents:
    same_text = items.conversation_digest == item.conversation_digest
    if not item.place.category:
        return Precedents(_closed(connection, item, same_text), ())
    same_category = (items.category == item.place.category) & ~same_text
    return Precedents(
        _closed(connection, item, same_text), _closed(connection, item, same_category)
    )


def _closed(
    connection: Connection, item: ReviewItem, alike: ColumnElement[bool]
) -> tuple[Precedent, ...]:
    """Not golden items: their outcome is what reviewers are measured by."""
    closed = [items.lane == Lane.CLOSED.value, items.tenant == item.tenant, items.id != item.id]
    statement = select(review_items).where(*closed, alike)
    rows = connection.execute(statement.order_by(items.opened_ms.desc()).limit(_NUM_SHOWN))
    return tuple(Precedent(item_from_row(row), Outcome(row["outcome"])) for row in rows.mappings())
