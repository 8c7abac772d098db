from dataclasses import replace

from plans import plans_of
from review_items import item
from sqlalchemy import text

from guard_service.review.cipher import Sealer
from guard_service.review.intake import MAX_TAKEN, take_in
from guard_service.review.keyring import Keyring
from guard_service.review.store import ReviewStore
from guard_service.review.text import Texts

TEXTS = Texts(Sealer(), Keyring("sqlite://"))
_NUM_ITEMS = 3000


async def test_the_same_item_is_written_once_in_a_group_and_after_one(store: ReviewStore) -> None:
    one, other = item(1), item(2, tenant="acme", request_id="request\x00")
    again = replace(one, id="a" * 32)
    assert await store.add_all([one, other, again]) == [one.id, other.id, one.id]
    assert await store.add_all([again, replace(other, id="b" * 32)]) == [one.id, other.id]
    assert len((await store.list_items(10)).items) == 2
    assert await store.add_all([]) == []


async def test_items_of_one_group_have_an_event_and_an_entry_each(store: ReviewStore) -> None:
    items = [item(number) for number in range(5)]
    await store.add_all(items)
    for table in "review_events", "review_audit":
        told = text(f"SELECT item_id FROM {table} ORDER BY sequence")
        rows = await store.database.read(lambda c, told=told: c.execute(told).scalars().all())
        assert rows == [each.id for each in items]


async def test_what_is_there_already_is_found_by_its_key(store: ReviewStore) -> None:
    for start in range(0, _NUM_ITEMS, MAX_TAKEN):
        await store.add_all([item(start + number) for number in range(MAX_TAKEN)])
    await store.database.run(lambda c: c.execute(text("ANALYZE")))
    for num_items in (1, 7, MAX_TAKEN):
        items = [item(number) for number in range(num_items)]
        (plan,) = await store.database.run(
            lambda c, items=items: plans_of(
                c, "SELECT review_items", lambda: take_in(c, items, TEXTS)
            )
        )
        assert "SEARCH review_items USING INDEX" in plan or "Index Scan" in plan, plan
        assert "SCAN review_items" not in plan
        assert "Seq Scan" not in plan
