"""What a look does to an item, and how it is taken back or asked for again."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Update, delete, insert, select, update

from guard_service.errors import ClaimLost, NotAppealable, ReviewItemUnknown
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Lane
from guard_service.review.table import of_tenant, review_items, review_resolutions

items, looks = review_items.c, review_resolutions.c


@dataclass(frozen=True, slots=True)
class Look:
    """What a holder said; `row` is the item with this look counted and nobody holding it."""

    reviewer: str
    answer: Answer
    row: RowMapping
    lease_until_ms: int


def keep_look(connection: Connection, look: Look, clock_ms: ColumnElement[int]) -> None:
    """Write the resolution; close the item, or leave it for the next look."""
    row, answer = look.row, look.answer
    connection.execute(
        insert(review_resolutions).values(
            item_id=row["id"],
            look=row["num_looks"],
            reviewer=look.reviewer,
            token=row["token"],
            outcome=answer.outcome.value,
            codes=",".join(answer.codes),
            note=answer.note,
            resolved_ms=clock_ms,
            undo_until_ms=look.lease_until_ms,
            lane=row["lane"],
            looks_wanted=row["looks_wanted"],
        )
    )
    if Lane(row["lane"]) is Lane.GOLDEN or row["num_looks"] < row["looks_wanted"]:
        return
    values: dict[str, Any] = {"lane": Lane.CLOSED.value, "outcome": answer.outcome.value}
    if _disagrees(connection, row, answer):
        values = {"looks_wanted": row["looks_wanted"] + 1}
    connection.execute(update(review_items).where(items.id == row["id"]).values(values))


def take_back(
    connection: Connection, reviewer: Reviewer, held: Held, clock_ms: ColumnElement[int]
) -> None:
    """As it was before the look; ClaimLost if its time is over or the token has grown since."""
    mine = [
        looks.item_id == held.item_id,
        looks.token == held.token,
        looks.reviewer == reviewer.name,
        looks.undo_until_ms > clock_ms,
    ]
    before = connection.execute(select(review_resolutions).where(*mine)).mappings().one_or_none()
    if before is None:
        raise ClaimLost
    unchanged = update_of(reviewer, held.item_id).where(items.token == held.token)
    again = {
        "holder": reviewer.name,
        "lease_until_ms": before["undo_until_ms"],
        "num_looks": items.num_looks - 1,
        "lane": before["lane"],
        "looks_wanted": before["looks_wanted"],
    }
    if before["lane"] != Lane.GOLDEN.value:  # whose outcome is the known answer
        again["outcome"] = ""
    if connection.execute(unchanged.values(again)).rowcount == 0:
        raise ClaimLost
    connection.execute(delete(review_resolutions).where(*mine))


def reopen(
    connection: Connection, reviewer: Reviewer, item_id: str, clock_ms: ColumnElement[int]
) -> None:
    """One more look at a closed item, whose outcome is final; NotAppealable a second time."""
    closed = update_of(reviewer, item_id).where(
        items.lane == Lane.CLOSED.value, items.is_appealed.is_(False)
    )
    again = closed.values(
        lane=Lane.RANKED.value,
        outcome="",
        is_appealed=True,
        looks_wanted=items.num_looks + 1,
        opened_ms=clock_ms,
        token=items.token + 1,
    )
    if connection.execute(again).rowcount == 0:
        check_known(connection, reviewer, item_id)
        raise NotAppealable


def update_of(reviewer: Reviewer, item_id: str) -> Update:
    return update(review_items).where(items.id == item_id, *of_tenant(reviewer.tenant))


def check_known(connection: Connection, reviewer: Reviewer, item_id: str) -> None:
    """ReviewItemUnknown where there is none, or it is another tenant's: nobody can tell which."""
    statement = select(items.id).where(items.id == item_id, *of_tenant(reviewer.tenant))
    if connection.execute(statement).scalar() is None:
        raise ReviewItemUnknown


def _disagrees(connection: Connection, row: RowMapping, answer: Answer) -> bool:
    """Two people saw it differently: then a third decides."""
    if row["num_looks"] != 2 or row["is_appealed"]:
        return False
    first = select(looks.outcome).where(looks.item_id == row["id"], looks.look == 1)
    return bool(connection.execute(first).scalar_one() != answer.outcome.value)
