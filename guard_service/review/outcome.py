"""What a look leads to: another one, by somebody else, or the item's outcome; and its event."""

from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from guard_service.review.claim import Answer
from guard_service.review.event import EventKind
from guard_service.review.item import Lane
from guard_service.review.outbox import record
from guard_service.review.row import codes_from_text
from guard_service.review.table import review_items, review_resolutions

looks = review_resolutions.c


def settle(connection: Connection, row: RowMapping, answer: Answer) -> None:
    """Close the item of this row, as it is with this look, or let it wait for the next one."""
    if Lane(row["lane"]) is Lane.GOLDEN:  # an event would tell reviewers which items these are
        return
    wanted = row["looks_wanted"] + int(_disagrees(connection, row, answer))
    if row["num_looks"] < wanted:
        _change(connection, row, looks_wanted=wanted)
        told = {"look": row["num_looks"], "looks_wanted": wanted}
        record(connection, EventKind.LOOKED, row["id"], row["tenant"], told)
    else:
        _change(connection, row, lane=Lane.CLOSED.value, outcome=answer.outcome.value)
        told = _resolved(connection, row, answer)
        record(connection, EventKind.RESOLVED, row["id"], row["tenant"], told)


def _change(connection: Connection, row: RowMapping, **values: Any) -> None:
    connection.execute(update(review_items).where(review_items.c.id == row["id"]).values(values))


def _disagrees(connection: Connection, row: RowMapping, answer: Answer) -> bool:
    """Two people saw it differently: then a third decides."""
    if row["num_looks"] != 2 or row["is_appealed"]:
        return False
    first = select(looks.outcome).where(looks.item_id == row["id"], looks.look == 1)
    return bool(connection.execute(first).scalar_one() != answer.outcome.value)


def _resolved(connection: Connection, row: RowMapping, answer: Answer) -> dict[str, Any]:
    """Not who said it: GetReviewItem tells that."""
    said = select(looks.outcome, looks.codes).where(looks.item_id == row["id"]).order_by(looks.look)
    return {
        "outcome": answer.outcome.value,
        "codes": list(answer.codes),
        "is_appealed": row["is_appealed"],
        "looks": [
            {"outcome": outcome, "codes": list(codes_from_text(codes))}
            for outcome, codes in connection.execute(said)
        ],
    }
