"""What a look does to an item, and how it is taken back or asked for again."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, Update, delete, insert, select, update

from guard_service.errors import ClaimLost, NotAppealable, ReviewItemUnknown
from guard_service.review.audit import Act, note
from guard_service.review.cipher import Sealer
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.event import EventKind
from guard_service.review.item import Lane
from guard_service.review.outbox import record
from guard_service.review.outcome import settle
from guard_service.review.table import of_tenant, review_items, review_resolutions

items, looks = review_items.c, review_resolutions.c


@dataclass(frozen=True, slots=True)
class Look:
    """What a holder said; `row` is the item with this look counted and nobody holding it."""

    reviewer: str
    answer: Answer
    row: RowMapping
    lease_until_ms: int
    sealer: Sealer


def keep_look(connection: Connection, look: Look, clock_ms: ColumnElement[int]) -> None:
    """Write the resolution; close the item, or leave it for the next look."""
    row, answer = look.row, look.answer
    kept = look.sealer.seal_note(answer.note, row["tenant"], row["id"])
    connection.execute(
        insert(review_resolutions).values(
            item_id=row["id"],
            look=row["num_looks"],
            reviewer=look.reviewer,
            token=row["token"],
            outcome=answer.outcome.value,
            codes=",".join(answer.codes),
            note=kept.text,
            note_key=kept.key_id,
            resolved_ms=clock_ms,
            undo_until_ms=look.lease_until_ms,
            lane=row["lane"],
            looks_wanted=row["looks_wanted"],
        )
    )
    said = {"look": row["num_looks"], "outcome": answer.outcome.value, "codes": answer.codes}
    note(connection, Act.RESOLVED, row["id"], row["tenant"], look.reviewer, **said)
    settle(connection, row, answer)


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
    is_golden = before["lane"] == Lane.GOLDEN.value  # whose outcome is the known answer
    if not is_golden:
        again["outcome"] = ""
    tenant = connection.execute(unchanged.values(again).returning(items.tenant)).scalar()
    if tenant is None:
        raise ClaimLost
    connection.execute(delete(review_resolutions).where(*mine))
    note(connection, Act.RETRACTED, held.item_id, tenant, reviewer.name, look=before["look"])
    if not is_golden:
        record(connection, EventKind.RETRACTED, held.item_id, tenant, {"look": before["look"]})


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
    tenant = connection.execute(again.returning(items.tenant)).scalar()
    if tenant is None:
        check_known(connection, reviewer, item_id)
        raise NotAppealable
    record(connection, EventKind.APPEALED, item_id, tenant, {})
    note(connection, Act.APPEALED, item_id, tenant, reviewer.name)


def update_of(reviewer: Reviewer, item_id: str) -> Update:
    return update(review_items).where(items.id == item_id, *of_tenant(reviewer.tenant))


def check_known(connection: Connection, reviewer: Reviewer, item_id: str) -> None:
    """ReviewItemUnknown where there is none, or it is another tenant's: nobody can tell which."""
    statement = select(items.id).where(items.id == item_id, *of_tenant(reviewer.tenant))
    if connection.execute(statement).scalar() is None:
        raise ReviewItemUnknown
