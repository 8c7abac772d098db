"""The console in a real browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from consoles import HASH, PASSWORD, kept_item
from payloads import PAYLOADS
from services import chromium
from web.conftest import Counting

from guard_service.config import Settings
from guard_service.conversation import Conversation, Message, Role, ToolCall
from guard_service.review.account import Account, Accounts
from guard_service.review.account import Role as Office
from guard_service.review.cipher import Sealer
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.startup import load_policies
from guard_service.web.server import ConsoleServer

playwright = pytest.importorskip("playwright.async_api")


@dataclass(frozen=True)
class Site:
    store: ReviewStore
    address: str
    browser: Any

    async def page(self, **values: Any) -> Any:
        """A page of somebody who is logged in, by the keyboard."""
        context = await self.browser.new_context(**values)
        page = await context.new_page()
        await page.goto(self.address)
        await page.wait_for_selector("#name:focus")
        await page.keyboard.type("ada")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("text=items wait")
        return page


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    path = chromium()
    store = ReviewStore("sqlite://", Sealer([b"k" * 32]))
    await store.start()
    await Accounts(store.database).add(Account("ada", Office.ADMIN, HASH, is_cleared=True))
    settings = Settings(console="127.0.0.1:0", review_golden_share=0.0)
    server = ConsoleServer(settings)
    async with (
        server.serving(store, load_policies(settings)),
        playwright.async_playwright() as driver,
    ):
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield Site(store, f"http://127.0.0.1:{server.port}", browser)
        await browser.close()
    await store.stop()


async def test_a_shift_of_fifty_items_is_worked_by_keyboard_alone(site: Site) -> None:
    for number in range(50):
        await site.store.add(kept_item(number, place=Place(category="S1")))
    page, keys = await site.page(), 0

    async def press(key: str, then: str) -> None:
        async with page.expect_navigation(url=then):
            await page.keyboard.press(key)

    await press("g", "**/items/**")
    for number in range(50):
        await press("v", "**/reveal*")
        await page.keyboard.press("2")
        if number == 10:
            await page.keyboard.press("n")
            await page.keyboard.type("adv")  # letters of a note press nothing
            await page.keyboard.press("Escape")
        await press("ad"[number % 2], "**/?empty" if number == 49 else "**/items/**")
        if number == 20:
            await press("z", "**/items/**")
            await press("d", "**/items/**")
        keys += 1
    assert keys == 50
    records = [await site.store.get(kept_item(number).id) for number in range(50)]
    assert all(record.outcome for record in records)
    assert sum(record.outcome is Outcome.OVERTURNED for record in records) == 26
    said = [record.resolutions[0] for record in records]
    assert [each.note for each in said if each.note] == ["adv"]
    assert sum("S2" in each.codes for each in said) == 49  # all but the one said anew


def hostile(number: int, payloads: list[str]) -> Any:
    """An item with the payloads in every field that a caller or a reviewer fills."""
    said = [Message(list(Role)[n % 4], p, (ToolCall(p, p),), p) for n, p in enumerate(payloads)]
    everything = " ".join(payloads)
    return kept_item(
        number,
        Conversation((*said, Message(Role.USER, payloads[0]))),
        request_id=f"{everything}{number}",
        model=everything,
        policy=everything,
        policy_version=everything,
        labels={payload: payload for payload in payloads},
        place=Place(category="S1", language=payloads[0][:64]),
    )


async def test_no_payload_in_any_field_is_ever_executed(site: Site) -> None:
    assert len(PAYLOADS) >= 500
    queue, ben = ReviewQueue(site.store, draw=lambda: 0.9), Reviewer(PAYLOADS[0], None)
    page, alarms = await site.page(), []
    await page.context.expose_function("alarm", lambda what: alarms.append(what))
    await page.context.add_init_script(
        "for (const name of ['alert', 'confirm', 'prompt', 'print']) window[name] = alarm;"
        "addEventListener('securitypolicyviolation', (e) => alarm(e.violatedDirective));"
    )
    page.on("request", lambda r: r.url.startswith(site.address) or alarms.append(r.url))
    for number, payloads in enumerate(batched(PAYLOADS, 50)):
        made = hostile(number, payloads)
        await site.store.add(made)
        await page.goto(site.address)
        async with page.expect_navigation(url="**/items/**"):
            await page.keyboard.press("g")
        async with page.expect_navigation(url="**/reveal*"):
            await page.keyboard.press("v")
        await page.click("summary >> text=Context")
        shown = await page.locator(".turn > .said").all_inner_texts()
        assert len(shown) == len(payloads) + 1
        assert all(len(text) >= len(p.strip()) for text, p in zip(shown, payloads, strict=False))
        async with page.expect_navigation(url=f"{site.address}/"):
            await page.keyboard.press("p")
        claim = await queue.claim(ben, 60)
        assert claim is not None
        answer = Answer(Outcome.UPHELD, ("S1",), " ".join(payloads))
        await queue.resolve(ben, Held(claim.item.id, claim.token), answer)
        await page.goto(f"{site.address}/records/{made.id}")
    await page.goto(f"{site.address}/figures")
    assert alarms == []


def batched(rows: list[str], size: int) -> list[list[str]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


async def test_the_browser_of_this_test_would_execute_a_payload(site: Site) -> None:
    page, alarms = await site.page(), []
    page.on("console", lambda message: alarms.append(message.text))
    await page.route("**/hole", lambda r: r.fulfill(body=PAYLOADS[0], content_type="text/html"))
    await page.evaluate("0")
    await page.context.add_init_script("window.alert = () => console.log('alarm')")
    await page.goto(f"{site.address}/hole")
    assert alarms == ["alarm"]


async def test_figures_come_by_themselves_once_they_are_counted(
    site: Site, counting: Counting
) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright").Axe()
    page = await site.page()
    await page.keyboard.press("f")
    await page.wait_for_selector("text=being counted")
    assert (await axe.run(page)).violations_count == 0
    counting.may_count.set()
    await page.wait_for_selector("text=Inflow and backlog")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_every_page_passes_axe_and_fits(site: Site, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright").Axe()
    for number in range(6):
        reply = "an answer " * 40 + "w" * 300
        said = Conversation((Message(Role.USER, "\u202ehello"), Message(Role.ASSISTANT, reply)))
        scores = {"S1": 0.4, "S2": 0.2, "S10": 0.1}
        place = Place(category="S1", language="de", looks_wanted=2)
        await site.store.add(kept_item(number, said, scores=scores, place=place))
    viewport = {"width": width, "height": 800}
    page = await site.page(color_scheme=scheme, viewport=viewport, reduced_motion="reduce")

    async def check() -> None:
        results = await axe.run(page)
        assert results.violations_count == 0, results.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, page.url

    await check()
    for key, selector in (("g", ".masked"), ("v", ".turns"), ("?", "dialog[open]")):
        await page.keyboard.press(key)
        await page.wait_for_selector(selector)
        await check()
    await page.keyboard.press("Escape")
    async with page.expect_navigation():
        await page.keyboard.press("d")
    await check()
    for path in ("/", "/figures", "/accounts", f"/records/{kept_item().id}", "/claim"):
        await page.goto(site.address + path)
        await check()
    await page.context.clear_cookies()
    await page.goto(site.address)
    await check()
