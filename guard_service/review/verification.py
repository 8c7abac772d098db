"""Reads the audit log from end to end, a page at a time, and checks its chain."""

from functools import partial

from guard_service.errors import AuditBroken
from guard_service.review.audit import entries_after
from guard_service.review.chain import START, Head, follow
from guard_service.review.database import Database

_PAGE = 5000  # each read by itself: nobody who writes waits for long


async def verify(database: Database, since: Head = START, known: Head | None = None) -> Head:
    """The head, with every link after `since` checked; AuditBroken names the first broken entry.

    Without a `known` head from elsewhere, entries cut off at the end are not missed.
    """
    await _check_since(database, since)
    head = since
    while entries := await database.read(
        partial(entries_after, position=head.position, limit=_PAGE)
    ):
        head = follow(head, entries, known)
    if known and head.position < known.position:
        raise AuditBroken(head.position + 1, "is missing: the log ends before the known head")
    return head


async def _check_since(database: Database, since: Head) -> None:
    before = partial(entries_after, position=since.position - 1, limit=1)
    for entry in await database.read(before) if since.position else ():
        if (entry.position, entry.hash) == (since.position, since.hash):
            return
    if since != START:
        raise AuditBroken(since.position, "is not the head to go on from")
