from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from review_items import item
from sqlalchemy import select, update

from guard_service.conversation import Conversation, Message, Role
from guard_service.review.cipher import Sealer
from guard_service.review.item import Place
from guard_service.review.keyring import Keyring, beside
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_texts
from guard_service.review.text import Texts, has_text

SAID = Conversation((Message(Role.USER, "hello"),))
KEPT = item(tenant="acme", conversation=SAID, place=Place(keep_text_s=60))


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(database_url, Sealer([b"k" * 32]))
    await store.start()
    await store.add(replace(KEPT, conversation=None))
    yield store
    await store.stop()


@pytest.fixture
def texts(store: ReviewStore, database_url: str) -> Texts:
    return Texts(Sealer([b"k" * 32]), Keyring(beside(database_url)))


async def test_a_kept_text_is_read_until_its_time_is_over(store: ReviewStore, texts: Texts) -> None:
    run = store.database.run
    await run(lambda c: texts.keep(c, KEPT, SAID))
    assert await run(lambda c: (texts.read(c, KEPT), has_text(c, KEPT.id))) == (SAID, True)
    await run(lambda c: c.execute(update(review_texts).values(expires_ms=1)))
    assert await run(lambda c: (texts.read(c, KEPT), has_text(c, KEPT.id))) == (None, False)
    texts.keyring.close()


async def test_a_text_whose_row_never_came_to_be_leaves_a_key_that_the_next_attempt_replaces(
    store: ReviewStore, texts: Texts
) -> None:
    run = store.database.run
    with pytest.raises(ZeroDivisionError):
        await run(lambda c: (texts.keep(c, KEPT, SAID), 1 / 0))
    assert texts.keyring.find(KEPT.id)
    await run(lambda c: texts.keep(c, KEPT, SAID))
    assert await run(lambda c: texts.read(c, KEPT)) == SAID
    texts.keyring.close()


async def test_without_its_key_a_text_that_is_still_there_is_not_read(
    store: ReviewStore, texts: Texts
) -> None:
    run = store.database.run
    await run(lambda c: texts.keep(c, KEPT, SAID))
    texts.keyring.destroy([KEPT.id], now_ms=0)
    assert await run(lambda c: texts.read(c, KEPT)) is None
    assert len(await run(lambda c: c.execute(select(review_texts)).all())) == 1
    texts.keyring.close()


async def test_erasing_tells_what_was_there_to_erase(store: ReviewStore, texts: Texts) -> None:
    run = store.database.run
    await run(lambda c: texts.keep(c, KEPT, SAID))
    assert [await run(lambda c: texts.erase(c, [KEPT.id])) for _ in range(2)] == [[KEPT.id], []]
    assert texts.keyring.find(KEPT.id) is None
    texts.keyring.close()
