import asyncio

from consoles import Opened
from web.conftest import Counting

from guard_service.review.account import Role as Office


async def test_figures_that_take_long_are_counted_on_while_the_page_says_so(
    console: Opened, counting: Counting
) -> None:
    lead = await console.person(Office.LEAD)
    answer = await lead.get("/figures")
    assert answer.status_code == 202
    assert "being counted" in answer.text
    counting.may_count.set()
    await asyncio.sleep(0.1)
    assert "Inflow and backlog" in (await lead.get("/figures")).text


async def test_who_looks_again_is_told_that_counting_failed(
    console: Opened, counting: Counting
) -> None:
    counting.fails = True
    lead = await console.person(Office.LEAD)
    assert (await lead.get("/figures")).status_code == 202
    counting.may_count.set()
    await asyncio.sleep(0.1)
    assert (await lead.get("/figures")).status_code == 503
