import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from review_items import item
from sqlalchemy import Connection, select, update

from guard_service.conversation import Conversation, Message, Role
from guard_service.errors import SettingsInvalid, StoreUnavailable
from guard_service.review.cipher import Sealer
from guard_service.review.claim import Reviewer
from guard_service.review.item import Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore, open_store
from guard_service.review.table import metadata, review_items, review_texts


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(f"sqlite:///{tmp_path / 'guard.db'}")
    await store.start()
    yield store
    await store.stop()


async def test_an_item_comes_back_as_it_was_written(store: ReviewStore) -> None:
    await store.add(item())
    assert (await store.list_items(10)).items == (item(),)


async def test_what_was_acknowledged_is_there_for_another_process(
    store: ReviewStore, tmp_path: Path
) -> None:
    await store.add(item())
    rows = sqlite3.connect(tmp_path / "guard.db").execute("SELECT id FROM review_items").fetchall()
    assert rows == [(item().id,)]


async def test_the_same_request_sent_again_finds_its_item(store: ReviewStore) -> None:
    first = await store.add(item(1))
    again = await store.add(replace(item(2), request_id="request-1"))
    assert again == first
    assert len((await store.list_items(10)).items) == 1


async def test_a_request_id_reused_for_another_text_loses_nothing(store: ReviewStore) -> None:
    await store.add(item(1))
    await store.add(replace(item(2), request_id="request-1", conversation_digest="e" * 64))
    assert len((await store.list_items(10)).items) == 2


async def test_pages_are_newest_first_without_gap_or_repeat(store: ReviewStore) -> None:
    for number in range(7):
        await store.add(item(number))
    seen, cursor = [], None
    for _ in range(3):
        page = await store.list_items(3, cursor)
        seen += [one.id for one in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == [item(number).id for number in reversed(range(7))]


async def test_items_written_while_pages_are_read_do_not_shift_them(store: ReviewStore) -> None:
    for number in range(4):
        await store.add(item(number))
    first = await store.list_items(2)
    await store.add(item(9))
    second = await store.list_items(2, first.next_cursor)
    assert [one.id for one in second.items] == [item(1).id, item(0).id]


async def test_what_waits_for_people_is_counted(store: ReviewStore) -> None:
    assert await store.num_waiting() == 0
    for number in range(3):
        await store.add(item(number))
    assert await store.num_waiting() == 3


async def test_many_at_once_are_all_written(store: ReviewStore) -> None:
    await asyncio.gather(*(store.add(item(number)) for number in range(100)))
    assert len((await store.list_items(500)).items) == 100


async def test_sqlite_writes_through_to_the_disk_without_a_write_ahead_log(
    store: ReviewStore,
) -> None:
    def pragma(name: str) -> object:
        return connection.driver_connection.execute(f"PRAGMA {name}").fetchone()[0]

    connection = store.database.engine.raw_connection()
    try:
        assert (pragma("journal_mode"), pragma("synchronous")) == ("truncate", 2)  # FULL
    finally:
        connection.close()


async def test_a_database_that_fails_is_told_without_quoting_what_was_written(
    store: ReviewStore, tmp_path: Path
) -> None:
    sqlite3.connect(tmp_path / "guard.db").execute("DROP TABLE review_items")
    with pytest.raises(StoreUnavailable) as error:
        await store.add(item())
    assert "request-0" not in str(error.value)


@pytest.mark.parametrize("url", ["nonsense", "postgresql+no_such_driver://u:secret@h/d"])
def test_a_url_that_means_nothing_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="database_url") as error:
        ReviewStore(url)
    assert "secret" not in str(error.value)


async def test_a_database_that_cannot_be_opened_is_told_at_start(tmp_path: Path) -> None:
    store = ReviewStore(f"sqlite:///{tmp_path / 'no-such-folder' / 'guard.db'}")
    with pytest.raises(StoreUnavailable):
        await store.start()
    await store.stop()


async def test_the_same_request_of_another_tenant_is_another_item(store: ReviewStore) -> None:
    ids = [await store.add(item(n, request_id="r", tenant=t)) for n, t in enumerate(("a", "b"))]
    assert len(set(ids)) == 2
    assert [each.id for each in (await store.list_items(10, tenant="a")).items] == ids[:1]
    assert len((await store.list_items(10)).items) == 2


_WITHOUT_TENANTS = """
CREATE TABLE before (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id VARCHAR(32) NOT NULL UNIQUE,
    request_id VARCHAR(128) NOT NULL, conversation_digest VARCHAR(64) NOT NULL,
    created_at DATETIME NOT NULL, reason VARCHAR(16) NOT NULL, action VARCHAR(16) NOT NULL,
    judged_role VARCHAR(16) NOT NULL, unsafe_score FLOAT, codes TEXT NOT NULL,
    policy VARCHAR(64) NOT NULL, policy_version VARCHAR(64) NOT NULL, model VARCHAR(128) NOT NULL,
    labels TEXT NOT NULL, UNIQUE (request_id, conversation_digest));
INSERT INTO before SELECT sequence, id, request_id, conversation_digest, created_at, reason, action,
    judged_role, unsafe_score, codes, policy, policy_version, model, labels FROM review_items;
DROP TABLE review_evidence; DROP TABLE review_policies;
DROP TABLE review_texts; DROP TABLE review_resolutions; DROP TABLE review_requests;
DROP TABLE review_items; DROP TABLE alembic_version; DROP TABLE review_events;
DROP TABLE review_feed; DROP TABLE review_sinks; DROP TABLE review_audit;
DROP TABLE review_text_keys;
DROP TABLE review_reads; DROP TABLE review_sessions; DROP TABLE review_accounts;
ALTER TABLE before RENAME TO review_items;
"""


async def test_a_database_of_before_there_were_tenants_keeps_its_items(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    store = ReviewStore(f"sqlite:///{path}")
    await store.start()
    await store.add(item(1))
    await store.stop()
    with sqlite3.connect(path) as old:
        old.executescript(_WITHOUT_TENANTS)
    old.close()
    for number in (2, 3):  # and the second start finds all in order
        store = ReviewStore(f"sqlite:///{path}")
        await store.start()
        await store.add(item(number))
        stored = [each.request_id for each in (await store.list_items(10)).items]
        assert (await store.get(item(1).id)).item.place.category == "S1"
        await store.stop()
    assert stored == ["request-3", "request-2", "request-1"]


_WITHOUT_SUBJECTS = """
DROP INDEX review_items_waiting_anywhere; DROP INDEX review_items_routed_anywhere;
DROP INDEX review_items_of_subject; ALTER TABLE review_items DROP COLUMN subject;
ALTER TABLE review_resolutions DROP COLUMN note_key;
DROP TABLE review_text_keys; UPDATE alembic_version SET version_num = '0006';
"""


async def test_items_of_before_they_knew_their_subject_have_it_from_its_label(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    for number in (1, 2):
        store = ReviewStore(url)
        await store.start()
        await store.add(item(number, labels={"subject": f"%\x00{number}"}))
        if number == 1:
            await store.stop()
            with sqlite3.connect(tmp_path / "guard.db") as old:
                old.executescript(_WITHOUT_SUBJECTS)
            old.close()
    subjects = select(review_items.c.subject).order_by(review_items.c.sequence)
    assert await store.database.read(lambda c: c.execute(subjects).scalars().all()) == [
        "%\x001",
        "%\x002",
    ]
    await store.stop()


ODD = "\x00 %00 \N{GRINNING FACE} \u2028 \u202e a\u0301 \ufffe \r\n"


@pytest.fixture
async def either(database_url: str) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(database_url, Sealer([b"k" * 32]))
    await store.start()
    yield store
    await store.stop()


async def test_nul_and_odd_unicode_come_back_as_they_were(either: ReviewStore) -> None:
    odd = item(request_id=ODD, labels={ODD: ODD}, place=Place(language=ODD))
    assert [await either.add(odd), await either.add(replace(odd, id="f" * 32))] == [odd.id] * 2
    assert (await either.list_items(10)).items == (odd,)


async def test_a_kept_text_is_sealed_on_disk_and_comes_back_to_its_holder(
    either: ReviewStore,
) -> None:
    said = Conversation((Message(Role.USER, ODD + "\ud800"),))
    await either.add(item(conversation=said, place=Place(keep_text_s=60)))
    claim = await ReviewQueue(either, draw=lambda: 0.9).claim(Reviewer("ann", None), 60)
    assert claim is not None
    assert claim.item.conversation == said
    with either.database.engine.connect() as connection:
        (sealed,) = connection.execute(select(review_texts.c.sealed)).scalars()
    assert ODD.encode() not in sealed


async def test_a_text_that_no_policy_keeps_is_not_stored(either: ReviewStore) -> None:
    await either.add(item(conversation=Conversation((Message(Role.USER, "hello"),))))
    with either.database.engine.connect() as connection:
        assert connection.execute(select(review_texts)).all() == []


async def test_a_text_whose_time_is_over_is_gone_at_once_and_deleted_by_the_purge(
    either: ReviewStore,
) -> None:
    said = Conversation((Message(Role.USER, "hello"),))
    await either.add(item(conversation=said, place=Place(keep_text_s=60)))
    with either.database.engine.begin() as connection:
        connection.execute(update(review_texts).values(expires_ms=1))
    claim = await ReviewQueue(either, draw=lambda: 0.9).claim(Reviewer("ann", None), 60)
    assert claim is not None
    assert claim.item.conversation is None
    assert (await either.purge(), await either.purge()) == (1, 0)


async def test_migrations_make_the_tables_that_the_queries_are_written_for(
    either: ReviewStore,
) -> None:
    def difference(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, metadata)

    # On the store's own thread: its purge may be at work on SQLite's one connection.
    assert await either.database.read(difference) == []


async def test_several_servers_start_on_one_new_database(database_url: str) -> None:
    stores = [ReviewStore(database_url) for _ in range(4)]
    await asyncio.gather(*(store.start() for store in stores))
    await asyncio.gather(*(store.stop() for store in stores))


async def test_a_store_that_stops_writes_what_its_callers_have_left(database_url: str) -> None:
    store = ReviewStore(database_url)
    await store.start()
    calls = [asyncio.create_task(store.add(item(number))) for number in range(3)]
    await asyncio.sleep(0)
    late = [asyncio.create_task(store.add(item(number))) for number in range(3, 6)]
    await asyncio.sleep(0)
    for call in (*calls, *late):
        call.cancel()
    await store.stop()
    async with open_store(database_url) as again:
        assert len((await again.list_items(10)).items) == 6
