from typing import Any

import pytest
from consoles import Opened, kept_item
from review_items import end_lease, item
from sqlalchemy import func, select

from guard_service.review.account import Role as Office
from guard_service.review.claim import Reviewer
from guard_service.review.item import Outcome, Place
from guard_service.review.table import review_reads


async def num_reads(console: Opened) -> int:
    count = select(func.count()).select_from(review_reads)
    return await console.store.database.read(lambda c: c.execute(count).scalar_one())


async def test_text_is_not_in_the_page_until_it_is_asked_for_and_then_kept_as_read(
    console: Opened,
) -> None:
    await console.store.add(kept_item())
    ann = await console.person()
    path = await ann.claim()
    assert "a secret reply" not in (await ann.get(path)).text
    assert await num_reads(console) == 0
    assert "a secret reply" in (await ann.post(f"{path}/reveal")).text
    assert await num_reads(console) == 1


async def test_a_decision_is_kept_and_the_next_item_comes(console: Opened) -> None:
    for number in range(2):
        await console.store.add(kept_item(number))
    ann = await console.person()
    first = await ann.claim()
    said = {"outcome": "overturned", "codes": ["S10"], "note": "quoted"}
    second = (await ann.post(f"{first}/resolve", said)).headers["location"]
    assert second.startswith("/items/")
    assert second != first
    record = await console.store.get(first.split("/")[2])
    assert record.outcome is Outcome.OVERTURNED
    assert [(r.codes, r.note, r.reviewer) for r in record.resolutions] == [
        (("S10",), "quoted", "reviewer")
    ]


async def test_undo_gives_the_item_back_and_leaves_the_one_at_hand(console: Opened) -> None:
    for number in range(2):
        await console.store.add(kept_item(number))
    ann = await console.person()
    first = await ann.claim()
    await ann.post(f"{first}/resolve", {"outcome": "upheld"})
    assert (await ann.post(f"{first}/undo")).headers["location"] == first
    assert (await ann.get(first)).status_code == 200
    (held,) = await console.queue.holding(Reviewer("reviewer", None))
    assert held.item_id == first.split("/")[2]


async def test_a_skipped_item_does_not_come_back_at_once(console: Opened) -> None:
    for number in range(2):
        await console.store.add(kept_item(number))
    ann = await console.person()
    first = await ann.claim()
    second = (await ann.post(f"{first}/skip")).headers["location"]
    assert second.startswith("/items/")
    assert second != first
    assert (await ann.get(first)).status_code == 409


async def test_whoever_lost_the_lease_is_told_and_changes_nothing(console: Opened) -> None:
    await console.store.add(kept_item())
    ann = await console.person()
    path = await ann.claim()
    await end_lease(console.store, kept_item().id)
    for act in ("resolve", "reveal", "renew", "release"):
        answer = await ann.post(f"{path}/{act}", {"outcome": "upheld"})
        assert answer.status_code == 409, act
        assert "nothing was changed" in answer.text
    assert (await console.store.get(kept_item().id)).outcome is None


async def test_the_second_look_does_not_see_the_first(console: Opened) -> None:
    await console.store.add(kept_item(place=Place(looks_wanted=2)))
    ann, ben = await console.person(name="ann"), await console.person(name="ben")
    note = {"outcome": "overturned", "note": "unmistakable"}
    await ann.post(f"{await ann.claim()}/resolve", note)
    page = await ben.post(f"{await ben.claim()}/reveal")
    assert page.status_code == 200
    assert "unmistakable" not in page.text
    assert "overturned</span>" not in page.text


async def test_restricted_categories_are_for_the_cleared_alone(console: Opened) -> None:
    await console.store.add(kept_item(codes=("S1", "S4")))
    ann = await console.person(name="ann")
    cleared = await console.person(name="cleo", is_cleared=True)
    assert await ann.claim() == ""
    path = await cleared.claim()
    assert path
    assert (await ann.get(path)).status_code == 409


async def test_a_restricted_item_that_was_claimed_elsewhere_is_not_shown(console: Opened) -> None:
    await console.store.add(kept_item(codes=("S4",)))
    ann = await console.person(name="ann")
    claim = await console.queue.claim(Reviewer("ann", None), 60, with_text=False)
    assert claim is not None
    path = f"/items/{claim.item.id}/{claim.token}"
    assert (await ann.get(path)).status_code == 403
    assert (await ann.post(f"{path}/reveal")).status_code == 403
    assert await num_reads(console) == 0


async def test_views_narrow_what_is_given_and_are_kept_from_item_to_item(console: Opened) -> None:
    for number, code in enumerate(["S1", "S10", "S10"]):
        await console.store.add(kept_item(number, place=Place(category=code)))
    ann = await console.person()
    first = await ann.claim(category="S10")
    view = {"outcome": "upheld", "category": "S10"}
    second = (await ann.post(f"{first}/resolve", view)).headers["location"]
    assert second.endswith("?category=S10")
    last = await ann.post(f"{second.partition('?')[0]}/resolve", view)
    assert last.headers["location"] == "/?empty"


async def test_the_queue_shows_own_pace_and_exposure(console: Opened) -> None:
    await console.store.add(kept_item())
    ann = await console.person()
    path = await ann.claim()
    await ann.post(f"{path}/reveal")
    await ann.post(f"{path}/resolve", {"outcome": "upheld"})
    page = (await ann.get("/")).text
    assert '<span class="chip">S1 1</span>' in page
    assert "<dd>1</dd>" in page


@pytest.mark.parametrize(
    "form",
    [{}, {"outcome": "maybe"}, {"outcome": "upheld", "note": "x" * 2001}]
    + [{"outcome": "upheld", "codes": code} for code in ("S", "S1,S2", "<b>", "S٣")],
)
async def test_what_no_page_would_send_is_refused(console: Opened, form: dict[str, Any]) -> None:
    await console.store.add(item())
    ann = await console.person()
    answer = await ann.post(f"{await ann.claim()}/resolve", form)
    assert answer.status_code == 400
    assert (await console.store.get(item().id)).outcome is None


async def test_another_tenants_items_are_not_there(console: Opened) -> None:
    await console.store.add(kept_item(tenant="acme"))
    other = await console.person(tenant="other", name="other")
    lead = await console.person(Office.LEAD, tenant="other")
    assert await other.claim() == ""
    assert "0</span> items wait" in (await other.get("/")).text
    assert (await lead.get(f"/records/{kept_item().id}")).status_code == 404
