"""The report in a real browser: it runs nothing, loads nothing, and fits."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from payloads import PAYLOADS
from screened_rows import Row, random_row, write_output
from services import chromium

from guard_service.screening.counts import Counts, Ranking
from guard_service.screening.excerpt import Excerpt, Said
from guard_service.screening.report import Asked, render
from guard_service.screening.summary import Summary, summarize

playwright = pytest.importorskip("playwright.async_api")


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    path = chromium()
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


def hostile(draw: Random, number: int, payloads: list[str]) -> Row:
    told = {name: draw.choice(payloads) for name in ("file", "user", "log_model", "role")}
    return random_row(draw, number) | told | {"categories": ["S1"], "unsafe_score": 0.9}


def excerpts(summary: Summary, payloads: list[str]) -> dict[str, Excerpt]:
    said = tuple(Said("user", payload, 0) for payload in payloads)
    return {example.digest: Excerpt(said, 1) for example in summary.examples}


def written(path: Path, summary: Summary, found: dict[str, Excerpt] | None) -> str:
    asked = Asked(shows_users=True, num_examples=3)
    path.write_text(render(summary, asked, found), encoding="utf-8")
    return path.as_uri()


async def test_no_payload_in_any_field_is_ever_executed(tmp_path: Path, browser: Any) -> None:
    draw, alarms = Random(1), []
    context = await browser.new_context()
    await context.expose_function("alarm", lambda what: alarms.append(what))
    await context.add_init_script(
        "for (const name of ['alert', 'confirm', 'prompt', 'print']) window[name] = alarm;"
        "addEventListener('securitypolicyviolation', (e) => alarm(e.violatedDirective));"
    )
    page = await context.new_page()
    for start in range(0, len(PAYLOADS), 100):
        payloads = PAYLOADS[start : start + 100]
        rows = [hostile(draw, number, payloads) for number in range(100)]
        gaps = [{"reason": payload} for payload in payloads]
        out = write_output(tmp_path / f"out{start}", [rows], gaps)
        summary = summarize(out, 100, 3)
        told = {"policy": payloads[0], "model": payloads[1], "inputs": tuple(payloads[:20])}
        summary = replace(summary, terms=replace(summary.terms, **told))
        address = written(tmp_path / "report.html", summary, excerpts(summary, payloads))
        page.on("request", lambda r, own=address: r.url == own or alarms.append(r.url))
        await page.goto(address)
        for unfold in await page.locator("summary").all():
            await unfold.click()
        shown = await page.locator(".said").all_inner_texts()
        assert len(shown) == len(payloads) * len(summary.examples)
    assert alarms == []


async def test_this_browser_would_execute_a_payload(tmp_path: Path, browser: Any) -> None:
    page, alarms = await browser.new_page(), []
    page.on("dialog", lambda dialog: alarms.append(dialog) or dialog.dismiss())
    (tmp_path / "hole.html").write_text(PAYLOADS[0])
    await page.goto((tmp_path / "hole.html").as_uri())
    assert alarms


async def test_texts_are_masked_until_they_are_opened(tmp_path: Path, browser: Any) -> None:
    draw = Random(1)
    out = write_output(tmp_path / "out", [[random_row(draw, n) for n in range(40)]])
    summary = summarize(out, 5, 1)
    found = excerpts(summary, ["a shocking text"])
    page = await browser.new_page()
    await page.goto(written(tmp_path / "report.html", summary, found))
    texts = page.locator("text=a shocking text")
    visible = [await each.is_visible() for each in await texts.all()]
    assert visible and not any(visible)
    await page.locator("summary >> text=Show the text").first.click()
    assert sum([await each.is_visible() for each in await texts.all()]) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
async def test_it_passes_axe_and_fits(
    tmp_path: Path, browser: Any, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright").Axe()
    draw = Random(2)
    rows = [random_row(draw, n) | {"file": "w" * 200 + ".jsonl"} for n in range(300)]
    out = write_output(tmp_path / "out", [rows], [{"reason": "v" * 300}])
    summary = summarize(out, 20, 3)
    long = {"m" * 120: Counts(10**9, 10**8, 10**8, 10**8)}
    summary = replace(summary, by_model=Ranking(long, 30, 2, 3), total=next(iter(long.values())))
    found = excerpts(summary, ["an answer " * 40 + "w" * 300, "\u202ehello"])
    context = await browser.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    page = await context.new_page()
    await page.goto(written(tmp_path / "report.html", summary, found))
    for unfold in [None, *await page.locator("summary").all()][:4]:
        if unfold:
            await unfold.click()
        results = await axe.run(page)
        assert results.violations_count == 0, results.generate_report()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
