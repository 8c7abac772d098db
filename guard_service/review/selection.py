"""Which item a claim gets: the lane is drawn, then the most urgent that the reviewer may have."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, column, select, text

from guard_service.review.claim import Reviewer, Route, Shares
from guard_service.review.item import Lane
from guard_service.review.priority import NUM_LEVELS, by_urgency
from guard_service.review.table import of_tenant, review_items, review_resolutions

items = review_items.c

# Correlated with one probe: sixteen written out take a database longer to plan than to answer.
# As text, since SQLAlchemy compiles VALUES anew each time.
_LEVELS = (
    text(" UNION ALL ".join(f"SELECT {n} AS level" for n in range(NUM_LEVELS)))
    .columns(column("level", Integer))
    .cte("levels")
)

Free = Sequence[ColumnElement[bool]]


def draw_lanes(shares: Shares, drawn: float) -> Sequence[Lane]:
    """The drawn lane first. Golden items are no work: without a draw they are not given."""
    if drawn < shares.golden:
        return Lane.GOLDEN, Lane.RANKED, Lane.RANDOM
    if drawn < shares.golden + shares.random:
        return Lane.RANDOM, Lane.RANKED
    return Lane.RANKED, Lane.RANDOM


def free_for(reviewer: Reviewer, route: Route, lane: Lane, clock_ms: ColumnElement[int]) -> Free:
    """What holds for the items that this reviewer may be given."""
    looks = review_resolutions.c
    is_theirs = (looks.item_id == items.id) & (looks.reviewer == reviewer.name)
    free = [
        items.lane == lane.value,
        items.lease_until_ms <= clock_ms,
        ~select(looks.look).where(is_theirs).exists(),
        *of_tenant(reviewer.tenant),
    ]
    if route.categories:
        free.append(items.category.in_(route.categories))
    if route.languages:
        free.append(items.language.in_(route.languages))
    free += [~is_flagged(code) for code in route.withheld]
    return free


def choose(connection: Connection, free: Free, clock_ms: ColumnElement[int]) -> int | None:
    """The most urgent free item that nobody is just taking, locked; its sequence."""
    for level in _levels(connection, free, clock_ms):
        oldest = _oldest(items.sequence, free, level).with_for_update(skip_locked=True)
        chosen: int | None = connection.execute(oldest).scalar()
        if chosen is not None:
            return chosen
    return None


def _levels(connection: Connection, free: Free, clock_ms: ColumnElement[int]) -> list[int]:
    """Levels with free items, the most urgent first; each is one probe of the index."""
    probe = _oldest(items.opened_ms, free, _LEVELS.c.level).scalar_subquery()
    rows = connection.execute(select(_LEVELS.c.level, probe, clock_ms)).all()
    return by_urgency({level: ms for level, ms, _ in rows if ms is not None}, rows[0][2])


def _oldest(column: ColumnElement[int], free: Free, level: Any) -> Select[Any]:
    oldest = select(column).where(*free, items.level == level)
    return oldest.order_by(items.opened_ms).limit(1)


def is_flagged(code: str) -> ColumnElement[bool]:
    return ("," + items.codes + ",").contains(f",{code},")
