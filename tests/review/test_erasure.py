import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from review_items import item
from sqlalchemy import select, update

from guard_service.conversation import Conversation, Message, Role
from guard_service.errors import InvalidRequest
from guard_service.review import audit, outbox
from guard_service.review.audit import link_entries
from guard_service.review.cipher import Sealer
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome, Place, ReviewItem
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_items, review_texts
from guard_service.review.verification import verify

SAID = Conversation((Message(Role.USER, "the words of a user"),))
ANN = Reviewer("ann", None)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(database_url, Sealer([b"k" * 32]))
    await store.start()
    yield store
    await store.stop()


def of(subject: str, number: int, tenant: str = "acme") -> ReviewItem:
    labels = {"subject": subject, "chat": "of the user"}
    return item(
        number, tenant=tenant, labels=labels, conversation=SAID, place=Place(keep_text_s=60)
    )


async def text_of(store: ReviewStore, wanted: ReviewItem) -> Conversation | None:
    return await store.database.run(lambda c: store.read_text(c, wanted, ANN))


async def test_what_is_kept_of_a_subject_is_erased_and_of_others_is_not(
    store: ReviewStore,
) -> None:
    theirs, same_name_elsewhere, other = of("eve", 1), of("eve", 2, "other"), of("adam", 3)
    for each in theirs, same_name_elsewhere, other:
        await store.add(each)
    assert await text_of(store, theirs) == SAID
    assert await store.erase("eve", "acme", "ben") == 1
    assert await text_of(store, theirs) is None
    for each in same_name_elsewhere, other:
        assert await text_of(store, each) == SAID
    left = (await store.get(theirs.id)).item
    assert (left.labels, left.conversation_digest) == ({}, theirs.id)
    assert (left.unsafe_score, left.codes, left.policy) == (0.75, ("S1", "S10"), "default")


async def test_notes_and_events_keep_nothing_of_the_subject(store: ReviewStore) -> None:
    await store.add(of("eve", 1))
    queue = ReviewQueue(store, draw=lambda: 0.9)
    claim = await queue.claim(ANN, 60)
    assert claim is not None
    answer = Answer(Outcome.UPHELD, ("S1",), note="eve wrote this")
    await queue.resolve(ANN, Held(claim.item.id, claim.token), answer)
    await store.erase("eve", "acme", "ben")
    (look,) = (await store.get(claim.item.id)).resolutions
    assert (look.outcome, look.note) == (Outcome.UPHELD, "")
    await store.database.run(outbox.place)
    events = (await store.database.read(lambda c: outbox.read(c, None, None, 10))).events
    told = json.dumps([dict(event.data) for event in events])
    assert [event.kind.value for event in events] == ["added", "resolved"]
    assert "eve" not in told
    assert item().conversation_digest not in told


async def test_an_erasure_is_in_the_log_which_still_holds_together(store: ReviewStore) -> None:
    await store.add(of("eve", 1))
    await store.database.run(link_entries)
    before = await store.database.read(audit.head_of)
    await store.erase("eve", "acme", "ben")
    await store.database.run(link_entries)
    assert (await verify(store.database, known=before)).position == 3
    entries = await store.database.read(lambda c: audit.entries_after(c, 1, 10))
    told = [(each.act, each.item_id, each.actor, each.details) for each in entries]
    why = '{"why":"subject"}'
    assert told == [("erased", of("eve", 1).id, "ben", why), ("erased", "", "ben", why)]
    assert "eve" not in repr(entries)


async def test_erasing_again_finds_nothing_and_is_an_entry_too(store: ReviewStore) -> None:
    await store.add(of("eve", 1))
    assert [await store.erase("eve", "acme", "ben") for _ in range(2)] == [1, 0]
    acts = await store.database.read(lambda c: [*c.execute(select(audit.audit.act)).scalars()])
    assert acts == ["decided", "erased", "erased", "erased"]


async def test_no_subject_is_not_the_subject_of_all_items_without_one(
    store: ReviewStore,
) -> None:
    await store.add(item(1))
    with pytest.raises(InvalidRequest, match="subject: is empty"):
        await store.erase("", "", "ben")


async def test_more_items_than_a_transaction_erases_are_all_erased(
    store: ReviewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in "erasure", "store":
        monkeypatch.setattr(f"guard_service.review.{module}.MAX_ERASED", 2)
    for number in range(5):
        await store.add(of("eve", number))
    assert await store.erase("eve", "acme", "ben") == 5
    left = select(review_items.c.id).where(review_items.c.subject != "")
    assert await store.database.read(lambda c: c.execute(left).all()) == []


async def test_a_text_past_its_time_is_erased_with_its_key_and_that_is_told(
    store: ReviewStore,
) -> None:
    await store.add(of("eve", 1))
    over = update(review_texts).values(expires_ms=1)
    await store.database.run(lambda c: c.execute(over))
    assert await store.purge() == 1
    assert store._keyring.find(of("eve", 1).id) is None
    await store.database.run(link_entries)
    _, erased = await store.database.read(lambda c: audit.entries_after(c, 0, 10))
    assert (erased.act, erased.details) == ("erased", '{"why":"retention"}')
    assert (await store.get(of("eve", 1).id)).item.labels["subject"] == "eve"


async def test_an_erased_text_is_unreadable_in_a_backup_too(tmp_path: Path) -> None:
    path, backup = tmp_path / "guard.db", tmp_path / "backup.db"
    theirs = of("eve", 1)

    async def read_backup() -> Conversation | None:
        restored = ReviewStore(
            f"sqlite:///{backup}", Sealer([b"k" * 32]), f"sqlite:///{tmp_path / 'guard-keys.db'}"
        )
        await restored.start()
        try:
            return await text_of(restored, theirs)
        finally:
            await restored.stop()

    store = ReviewStore(f"sqlite:///{path}", Sealer([b"k" * 32]))
    await store.start()
    await store.add(theirs)
    shutil.copy(path, backup)
    assert await read_backup() == SAID
    await store.erase("eve", "acme", "ben")
    await store.stop()
    assert await read_backup() is None
    assert all(SAID.messages[0].content.encode() not in f.read_bytes() for f in tmp_path.iterdir())
