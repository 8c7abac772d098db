import asyncio
import json

import pytest
from review_items import item
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from guard_service.conversation import Conversation, Message, Role
from guard_service.review import audit
from guard_service.review.audit import Act, link_entries, note
from guard_service.review.chain import Entry
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.feed import Feed
from guard_service.review.item import Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_audit
from guard_service.review.verification import verify

ANN = Reviewer("ann", None)
SAID = "the words of a user"


async def linked(store: ReviewStore) -> list[Entry]:
    while await store.database.run(link_entries):
        pass
    return list(await store.database.read(lambda c: audit.entries_after(c, 0, 1000)))


async def test_what_is_done_to_an_item_is_told_in_order_without_its_text(
    store: ReviewStore,
) -> None:
    said = Conversation((Message(Role.USER, SAID),))
    labels = {"note": SAID}
    await store.add(
        item(tenant="acme", conversation=said, labels=labels, place=Place(keep_text_s=60))
    )
    queue, answer = ReviewQueue(store, draw=lambda: 0.9), Answer(Outcome.UPHELD, ("S1",), SAID)
    claim = await queue.claim(ANN, 60)
    assert claim is not None
    held = Held(claim.item.id, claim.token)
    for again in range(2):
        await queue.resolve(ANN, held, answer)
        if not again:
            await queue.undo(ANN, held)
    await queue.appeal(Reviewer("ben", "acme"), held.item_id)
    entries = await linked(store)
    assert [(entry.act, entry.actor) for entry in entries] == [
        ("decided", ""),
        ("read", "ann"),
        ("resolved", "ann"),
        ("retracted", "ann"),
        ("resolved", "ann"),
        ("appealed", "ben"),
    ]
    assert {(entry.item_id, entry.tenant) for entry in entries} == {(item().id, "acme")}
    assert json.loads(entries[0].details)["action"] == "block"
    assert json.loads(entries[2].details) == {"look": 1, "outcome": "upheld", "codes": ["S1"]}
    assert SAID not in repr(entries)
    assert item().conversation_digest not in repr(entries)


async def test_marking_an_item_golden_is_told(store: ReviewStore) -> None:
    await store.add(item())
    queue = ReviewQueue(store, draw=lambda: 0.9)
    claim = await queue.claim(ANN, 60)
    assert claim is not None
    await queue.resolve(ANN, Held(claim.item.id, claim.token), Answer(Outcome.UPHELD))
    await queue.mark_golden(ANN, claim.item.id)
    assert (await linked(store))[-1].act == "marked_golden"


async def test_the_same_request_again_is_no_second_entry(store: ReviewStore) -> None:
    await store.add(item(1))
    await store.add(item(2, request_id="request-1"))
    assert [entry.act for entry in await linked(store)] == ["decided"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM review_audit",
        "UPDATE review_audit SET actor = 'nobody'",
        "UPDATE review_audit SET hash = '0'",
        "UPDATE review_audit SET position = 7",
        "TRUNCATE review_audit",
    ],
)
async def test_the_database_refuses_to_change_or_delete_an_entry(
    store: ReviewStore, statement: str
) -> None:
    if statement.startswith("TRUNCATE") and store.database.is_sqlite:
        statement = "DELETE FROM review_audit"  # which is its TRUNCATE
    await store.add(item())
    before = await linked(store)

    def tamper() -> None:
        with store.database.engine.begin() as connection:
            connection.execute(text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        await asyncio.to_thread(tamper)
    assert await linked(store) == before


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_an_entry_that_commits_late_is_linked_behind_those_it_did_not_keep_waiting(
    store: ReviewStore,
) -> None:
    with store.database.engine.begin() as late:
        note(late, Act.READ, "late", "")
        await store.add(item())
        assert [entry.act for entry in await linked(store)] == ["decided"]
    assert [entry.item_id for entry in await linked(store)] == [item().id, "late"]


async def test_many_writers_and_linkers_at_once_make_one_chain(database_url: str) -> None:
    stores = [ReviewStore(database_url) for _ in range(3)]
    await asyncio.gather(*(store.start() for store in stores))

    async def work(store: ReviewStore, number: int) -> None:
        for n in range(20):
            await store.add(item(number * 100 + n))
            await store.database.run(link_entries)

    await asyncio.gather(*(work(store, number) for number, store in enumerate(stores)))
    entries = await linked(stores[0])
    assert len({entry.item_id for entry in entries}) == len(entries) == 60
    assert (await verify(stores[0].database)).position == 60
    await asyncio.gather(*(store.stop() for store in stores))


async def test_a_running_feed_links_what_is_written(store: ReviewStore) -> None:
    async with Feed(store.database, 86400, poll_s=0.01).running(), asyncio.timeout(30):
        await store.add(item())
        while await store.database.read(audit.has_unlinked):
            await asyncio.sleep(0.01)
    assert (await verify(store.database)).position == 1


async def test_odd_names_and_more_entries_than_a_transaction_links_hold_together(
    store: ReviewStore,
) -> None:
    odd = {"act": "read", "item_id": "", "tenant": "", "actor": "\x00%00 \N{GRINNING FACE}"}
    rows = [odd | {"at_ms": number, "details": "{}"} for number in range(1100)]
    await store.database.run(lambda c: c.execute(insert(review_audit), rows))
    await linked(store)
    assert (await verify(store.database)).position == 1100
