"""New items into the database: many in a few statements, each with all that belongs to it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, insert, or_, select

from guard_service.review.audit import Act, entry, note_all
from guard_service.review.event import EventKind
from guard_service.review.evidence import keep_evidence
from guard_service.review.item import ReviewItem
from guard_service.review.outbox import event, record_all
from guard_service.review.row import data_of_row, decision_of_row, row_from_item
from guard_service.review.table import review_items
from guard_service.review.text import Texts

columns = review_items.c

MAX_TAKEN = 256  # at once: SQLite takes an expression of up to a thousand parts

Row = dict[str, Any]
Key = tuple[str, str, str]  # what makes an item the same as one written before

_KEY = "tenant", "request_id", "conversation_digest"
_INSERT = insert(review_items)


def take_in(connection: Connection, items: Sequence[ReviewItem], texts: Texts) -> list[str]:
    """Write those that are not there yet; the id of each, or of the same item written before."""
    ids = _known(connection, items) if items else {}
    new = list[ReviewItem]()
    for item in items:
        if _key(item) not in ids:
            ids[_key(item)] = item.id
            new.append(item)
    if new:
        _insert(connection, new, texts)
    return [ids[_key(item)] for item in items]


def _insert(connection: Connection, items: Sequence[ReviewItem], texts: Texts) -> None:
    rows = [row_from_item(item) for item in items]
    connection.execute(_INSERT, rows)
    for item in items:
        if item.conversation is not None and item.place.keep_text_s:
            texts.keep(connection, item, item.conversation)
    keep_evidence(connection, [(i.id, i.evidence) for i in items if i.evidence is not None])
    record_all(connection, [_event(row) for row in rows])
    note_all(connection, [_entry(row) for row in rows])


def _event(row: Row) -> Row:
    return event(EventKind.ADDED, row["id"], row["tenant"], data_of_row(row))


def _entry(row: Row) -> Row:
    return entry(Act.DECIDED, row["id"], row["tenant"], **decision_of_row(row))


def _key(item: ReviewItem) -> Key:
    return item.tenant, item.request_id, item.conversation_digest


def _known(connection: Connection, items: Sequence[ReviewItem]) -> dict[Key, str]:
    keys = list(map(_key, items))
    keys += keys[-1:] * ((1 << (len(keys) - 1).bit_length()) - len(keys))  # few statements to plan
    given = {
        f"{name}{n}": part
        for n, key in enumerate(keys)
        for name, part in zip(_KEY, key, strict=True)
    }
    return {tuple(rest): item_id for item_id, *rest in connection.execute(_same(len(keys)), given)}


@cache
def _same(num_keys: int) -> Select[Any]:
    """Items of any of so many keys; written so that SQLite looks each up in the index, too."""
    is_any = or_(
        *(
            and_(*(columns[name] == bindparam(f"{name}{n}") for name in _KEY))
            for n in range(num_keys)
        )
    )
    return select(columns.id, *(columns[name] for name in _KEY)).where(is_any)
