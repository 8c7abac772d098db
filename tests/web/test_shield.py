"""Every route is walked, so that one added later cannot be forgotten."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from consoles import ORIGIN, Browser, Opened, kept_item
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from guard_service.review.account import Role as Office
from guard_service.review.table import metadata

_OPEN_TO_ALL = {"/login"}  # and /static


def routes(app: Starlette) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        assert isinstance(route, Route)
        for method in route.methods or ():
            yield method, route.path


def path_of(template: str, held: str) -> str:
    _, _, item_id, token = held.split("/")
    path = template.replace("{item_id}", item_id).replace("{token:int}", token)
    return path.replace("{name}", "victim")


async def contents(console: Opened) -> dict[str, list[Any]]:
    """All rows but for when somebody was last seen, or failed to log in."""
    tables = [t for t in metadata.sorted_tables if t.name not in ("review_sessions",)]
    return await console.store.database.read(
        lambda c: {t.name: [tuple(row) for row in c.execute(select(t))] for t in tables}
    )


@pytest.fixture
async def admin(console: Opened) -> AsyncIterator[tuple[Browser, str]]:
    """Somebody who may do all, holding an item; beside them somebody to disable."""
    await console.store.add(kept_item())
    await console.store.add(kept_item(1))
    await console.person(name="victim")
    admin = await console.person(Office.ADMIN, is_cleared=True)
    yield admin, await admin.claim()


FOREIGN = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a sandboxed page": {"origin": "null"},
    "another port": {"origin": "http://127.0.0.1:8051", "sec-fetch-site": "same-site"},
    "another scheme": {"origin": ORIGIN.replace("http", "https")},
    "no origin": {"origin": ""},
    "its own origin, as it says": {"sec-fetch-site": "cross-site"},
    "another name for this host": {"host": "evil.example"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_no_change_is_taken_from_elsewhere(
    console: Opened, admin: tuple[Browser, str], headers: dict[str, str]
) -> None:
    browser, held = admin
    before = await contents(console)
    changes = [path for method, path in routes(console.app) if method == "POST"]
    assert len(changes) > 10
    for path in changes:
        form = {"outcome": "upheld", "disable": "yes"}
        answer = await browser.post(path_of(path, held), form, headers)
        assert answer.status_code == 403, path
    assert await contents(console) == before


@pytest.mark.parametrize("csrf", ["", "0" * 64, "é"])
async def test_no_change_is_taken_without_the_sessions_token(
    console: Opened, admin: tuple[Browser, str], csrf: str
) -> None:
    browser, held = admin
    before = await contents(console)
    for method, path in routes(console.app):
        if method == "POST" and path not in _OPEN_TO_ALL:
            answer = await browser.post(path_of(path, held), {"csrf": csrf, "outcome": "upheld"})
            assert answer.status_code == 403, path
    assert await contents(console) == before


async def test_nothing_is_shown_or_changed_without_a_session(
    console: Opened, admin: tuple[Browser, str]
) -> None:
    _, held = admin
    before, stranger = await contents(console), console.stranger()
    for method, path in routes(console.app):
        if path in _OPEN_TO_ALL:
            continue
        send = stranger.post if method == "POST" else stranger.get
        answer = await send(path_of(path, held))
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path
    assert await contents(console) == before


async def test_looking_changes_nothing(console: Opened, admin: tuple[Browser, str]) -> None:
    browser, held = admin
    before = await contents(console)
    for method, path in routes(console.app):
        if method in ("GET", "HEAD"):
            answer = await browser.client.request(method, path_of(path, held))
            assert answer.status_code in (200, 303), path
    assert await contents(console) == before


_MAY: dict[str, set[Office]] = {
    "/claim": set(Office) - {Office.AUDITOR},
    "/figures": set(Office) - {Office.REVIEWER},
    "/records": set(Office) - {Office.REVIEWER},
    "/records/{item_id}": set(Office) - {Office.REVIEWER},
    "/records/{item_id}/appeal": {Office.LEAD, Office.ADMIN},
    "/records/{item_id}/golden": {Office.LEAD, Office.ADMIN},
    "/accounts": {Office.ADMIN},
    "/accounts/{name}": {Office.ADMIN},
    "/": set(Office),
    "/login": set(Office),
    "/logout": set(Office),
}


@pytest.mark.parametrize("office", Office)
async def test_each_role_may_do_what_is_written_here_and_nothing_else(
    console: Opened, office: Office
) -> None:
    await console.store.add(kept_item())
    await console.person(name="victim")
    person = await console.person(office)
    ways = sorted(routes(console.app), key=lambda way: way[1] == "/logout")
    for method, path in ways:
        may = _MAY[path] if path in _MAY else set(Office) - {Office.AUDITOR}
        send = person.post if method == "POST" else person.get
        answer = await send(path_of(path, f"/items/{kept_item().id}/1"))
        if office in may:
            assert answer.status_code != 403, (method, path)
        else:
            assert answer.status_code == 403, (method, path)


async def test_every_answer_carries_the_policy_of_the_page(
    console: Opened, admin: tuple[Browser, str]
) -> None:
    browser, held = admin
    refused = await browser.post("/claim", headers={"origin": "https://evil.example"})
    pages = [await browser.get(path) for path in ("/", held, "/nowhere", "/static/console.js")]
    for answer in [refused, *pages]:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_no_page_has_inline_script_or_style(
    console: Opened, admin: tuple[Browser, str]
) -> None:
    browser, held = admin
    for path in ("/", held, "/figures", "/accounts", f"/records/{kept_item().id}", "/login"):
        text = (await browser.get(path)).text
        assert "style=" not in text
        assert "<style" not in text
        assert " on" not in text.replace(" on ", " ").replace(" once", " ").split("<main")[0]
        assert text.count("<script") == text.count('<script type="module" src="/static/')
