"""GUARD_TEST_ENTRIES sets how long the log is that is read from end to end."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict

import pytest
from length import length
from sqlalchemy import Connection, insert, select, text, update

from guard_service.errors import AuditBroken
from guard_service.review.audit import entries_after, head_of, link_entries
from guard_service.review.chain import START, Entry, Head
from guard_service.review.database import Database
from guard_service.review.table import review_audit
from guard_service.review.verification import verify

NUM_ENTRIES = length("ENTRIES", 5300, full=1_000_000)  # more than a page
audit = review_audit.c


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await database.start()
    yield database
    await database.stop()


async def write(database: Database, num_entries: int) -> Head:
    def rows(first: int) -> list[dict[str, object]]:
        numbers = range(first, min(first + 1000, num_entries))
        entries = (Entry("read", f"{n:032x}", "acme", "ann", n, "{}") for n in numbers)
        return [{k: v for k, v in asdict(e).items() if v is not None} for e in entries]

    for first in range(0, num_entries, 1000):
        await database.run(lambda c, of=first: c.execute(insert(review_audit), rows(of)))
        await database.run(link_entries)
    return await database.read(head_of)


async def tamper(database: Database, work: Callable[[Connection], object]) -> None:
    """As one who owns the database can: without its triggers."""

    def unguarded(connection: Connection) -> None:
        for name in "no_delete", "no_change", "linked_once":
            of = "" if database.is_sqlite else " ON review_audit"
            connection.execute(text(f"DROP TRIGGER review_audit_{name}{of}"))
        work(connection)

    await database.run(unguarded)


def cut_after(position: int) -> Callable[[Connection], object]:
    return lambda c: c.execute(review_audit.delete().where(audit.position > position))


async def test_a_log_of_many_pages_is_verified_to_its_head(database: Database) -> None:
    head = await write(database, NUM_ENTRIES)
    assert await verify(database) == head == await verify(database, START, head)
    assert head.position == NUM_ENTRIES
    print(f"{head.position} entries verified")


async def test_an_empty_log_is_whole(database: Database) -> None:
    assert await verify(database) == START


async def test_an_altered_entry_is_named(database: Database) -> None:
    await write(database, 20)
    altered = update(review_audit).where(audit.position == 7).values(actor="somebody else")
    await tamper(database, lambda c: c.execute(altered))
    with pytest.raises(AuditBroken, match="entry 7 was altered"):
        await verify(database)


async def test_a_deleted_entry_is_named(database: Database) -> None:
    await write(database, 20)
    deleted = review_audit.delete().where(audit.position == 7)
    await tamper(database, lambda c: c.execute(deleted))
    with pytest.raises(AuditBroken, match="entry 7 is missing"):
        await verify(database)


async def test_entries_that_changed_places_are_named(database: Database) -> None:
    await write(database, 20)

    def swap(connection: Connection) -> None:
        for position, at in ((4, -1), (9, 4), (-1, 9)):
            moved = update(review_audit).where(audit.position == position)
            connection.execute(moved.values(position=at))

    await tamper(database, swap)
    with pytest.raises(AuditBroken, match="entry 4 was altered, or is not the one"):
        await verify(database)


async def test_a_cut_off_end_is_seen_against_a_head_from_elsewhere_alone(
    database: Database,
) -> None:
    known = await write(database, 20)
    await tamper(database, cut_after(16))
    assert (await verify(database)).position == 16
    with pytest.raises(AuditBroken, match="entry 17 is missing: the log ends"):
        await verify(database, START, known)


async def test_a_log_that_was_cut_off_and_went_on_misses_the_known_head(
    database: Database,
) -> None:
    known = await write(database, 20)
    await tamper(database, cut_after(16))
    await write(database, 30)
    assert (await verify(database)).position == 46
    with pytest.raises(AuditBroken, match="entry 20 is not the known head"):
        await verify(database, START, known)


async def test_it_goes_on_from_a_head_and_not_from_one_that_is_not_there(
    database: Database,
) -> None:
    half = await write(database, 10)
    await write(database, 10)
    altered = update(review_audit).where(audit.position == 3).values(actor="somebody else")
    await tamper(database, lambda c: c.execute(altered))
    assert (await verify(database, half)).position == 20  # what is before it is not read again
    for nowhere in (Head(10, "0" * 64), Head(21, half.hash)):
        with pytest.raises(AuditBroken, match=f"entry {nowhere.position} is not the head"):
            await verify(database, nowhere)


async def test_an_entry_that_is_not_linked_yet_breaks_nothing(database: Database) -> None:
    head = await write(database, 3)
    unlinked = {"act": "read", "item_id": "", "tenant": "", "actor": "", "at_ms": 1}
    await database.run(lambda c: c.execute(insert(review_audit), unlinked | {"details": "{}"}))
    assert await verify(database) == head
    assert len(await database.read(lambda c: entries_after(c, 0, 10))) == 3
    assert await database.read(lambda c: len(c.execute(select(audit.sequence)).all())) == 4
