import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from guard_service.conversation import Role
from guard_service.decision import ReviewReason
from guard_service.errors import SettingsInvalid, StoreUnavailable
from guard_service.policy import Action
from guard_service.review.item import ReviewItem
from guard_service.review.store import ReviewStore


def item(number: int = 0, **values: object) -> ReviewItem:
    made = ReviewItem(
        id=f"{number:032x}",
        request_id=f"request-{number}",
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        reason=ReviewReason.BLOCKED,
        action=Action.BLOCK,
        judged_role=Role.ASSISTANT,
        unsafe_score=0.75,
        codes=("S1", "S10"),
        policy="default",
        policy_version="1",
        model="guard-tiny",
        conversation_digest="d" * 64,
        labels={"chat": "\N{GRINNING FACE}\x00\u2028"},
    )
    return replace(made, **values)  # type: ignore[arg-type]


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
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


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


async def test_a_database_of_before_there_were_tenants_keeps_its_items(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    store = ReviewStore(f"sqlite:///{path}")
    await store.start()
    await store.add(item(1))
    await store.stop()
    with sqlite3.connect(path) as old:
        (created,) = old.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'review_items'"
        ).fetchone()
        created = created.replace("\ttenant VARCHAR(64) NOT NULL, \n", "").replace("tenant, ", "")
        old.execute("ALTER TABLE review_items RENAME TO newer")
        old.execute(created)
        columns = ", ".join(row[1] for row in old.execute("PRAGMA table_info(review_items)"))
        assert "tenant" not in columns
        old.execute(f"INSERT INTO review_items SELECT {columns} FROM newer")
        old.execute("DROP TABLE newer")
    old.close()
    for number in (2, 3):  # and the second start finds all in order
        store = ReviewStore(f"sqlite:///{path}")
        await store.start()
        await store.add(item(number))
        stored = [each.request_id for each in (await store.list_items(10)).items]
        await store.stop()
    assert stored == ["request-3", "request-2", "request-1"]
