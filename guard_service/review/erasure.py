"""Erases the texts whose time is over, and all that is known of one subject."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from guard_service.review.audit import Act, note
from guard_service.review.dialect import clock_ms
from guard_service.review.event import EventKind
from guard_service.review.table import (
    review_events,
    review_items,
    review_requests,
    review_resolutions,
    review_texts,
)
from guard_service.review.text import Texts

items, events = review_items.c, review_events.c

MAX_ERASED = 500  # in one transaction
_ANSWERS_KEPT_MS = 24 * 3600 * 1000  # for requests sent again


def erase_expired(connection: Connection, texts: Texts) -> int:
    """Erase texts whose time is over; how many, which is no more than MAX_ERASED."""
    now_ms = clock_ms(connection)
    answered = review_requests.c.answered_ms < now_ms - _ANSWERS_KEPT_MS
    connection.execute(delete(review_requests).where(answered))
    is_over = select(review_texts.c.item_id).where(review_texts.c.expires_ms <= now_ms)
    over = connection.execute(is_over.limit(MAX_ERASED)).scalars().all()
    erased = texts.erase(connection, over)
    whose = select(items.id, items.tenant).where(items.id.in_(erased))
    for item_id, tenant in connection.execute(whose).all():
        note(connection, Act.ERASED, item_id, tenant, why="retention")
    return len(erased)


def erase_subject(
    connection: Connection, texts: Texts, subject: str, tenant: str, actor: str
) -> int:
    """Erase what the items of the subject have of them; how many, no more than MAX_ERASED.

    What stays is the decision: when, by which policy and model, with what scores, and what people
    said of it, without a text, its hash, a label, a note or the subject.
    """
    is_theirs = (items.tenant == tenant) & (items.subject == subject)
    some = select(items.id).where(is_theirs).limit(MAX_ERASED)
    theirs = update(review_items).where(is_theirs, items.id.in_(some)).returning(items.id)
    nobodys = {"subject": "", "labels": "{}", "conversation_digest": items.id}
    erased = connection.execute(theirs.values(nobodys)).scalars().all()
    texts.erase(connection, erased)
    looks = update(review_resolutions).where(review_resolutions.c.item_id.in_(erased))
    connection.execute(looks.values(note="", note_key=""))
    _forget_in_events(connection, erased)
    # The last batch also tells of the erasure itself, which is of no item.
    for item_id in erased if len(erased) == MAX_ERASED else [*erased, ""]:
        note(connection, Act.ERASED, item_id, tenant, actor, why="subject")
    return len(erased)


def _forget_in_events(connection: Connection, item_ids: Sequence[str]) -> None:
    """Those that are still kept: what was published already, consumers have."""
    added = events.item_id.in_(item_ids) & (events.kind == EventKind.ADDED.value)
    told = connection.execute(select(events.sequence, events.data).where(added)).all()
    for sequence, data in told:
        left = json.loads(data) | {"labels": {}, "conversation_digest": ""}
        changed = update(review_events).where(events.sequence == sequence)
        connection.execute(changed.values(data=json.dumps(left)))
