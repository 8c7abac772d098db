"""Logging in at a provider: only for whom it names, in the browser that began it, once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from consoles import HASH, Browser, Opened, opened
from credentials import Signer
from openid import CLIENT_ID, CLIENT_SECRET, FakeProvider, providing

from guard_service.access.exposure import exposure_problems
from guard_service.config import Settings
from guard_service.review.account import Account, Role
from guard_service.web.oidc import Client
from guard_service.web.password import is_right


@dataclass(frozen=True)
class Site:
    console: Opened
    provider: FakeProvider

    async def leave(self, browser: Browser) -> dict[str, str]:
        """The answer with which the provider would send back."""
        away = await browser.get("/login/oidc")
        assert away.status_code == 303
        return self.provider.log_in(away.headers["location"])

    async def come_back(self, browser: Browser, answer: dict[str, str]) -> httpx.Response:
        return await browser.client.get("/login/oidc/return", params=answer)

    async def log_in(self, browser: Browser) -> httpx.Response:
        return await self.come_back(browser, await self.leave(browser))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with providing() as provider:
        client = Client(provider.issuer, CLIENT_ID, CLIENT_SECRET)
        async with opened(login=client) as console:
            await console.accounts.add(Account("ann", Role.LEAD, ""))
            yield Site(console, provider)


async def is_in(browser: Browser) -> bool:
    return (await browser.get("/")).status_code == 200


async def test_whom_the_provider_names_is_in_with_the_role_of_their_account(site: Site) -> None:
    browser = site.console.stranger()
    page = await site.log_in(browser)
    assert page.status_code == 200
    assert 'http-equiv="refresh" content="0; url=/"' in page.text
    assert "lead" in (await browser.get("/")).text
    assert (await browser.get("/figures")).status_code == 200


async def test_the_cookies_are_for_this_site_and_only_the_one_of_the_attempt_comes_from_another(
    site: Site,
) -> None:
    browser = site.console.stranger()
    away = await browser.get("/login/oidc")
    (attempt,) = away.headers.get_list("set-cookie")
    assert "HttpOnly" in attempt and "SameSite=lax" in attempt and "Max-Age=600" in attempt
    page = await site.come_back(browser, site.provider.log_in(away.headers["location"]))
    session, gone = page.headers.get_list("set-cookie")
    assert "HttpOnly" in session and "SameSite=strict" in session
    assert gone.startswith('guard-login="";')


async def test_an_answer_is_good_once_and_in_the_browser_that_asked_for_it(site: Site) -> None:
    browser, other = site.console.stranger(), site.console.stranger()
    answer = await site.leave(browser)
    await site.leave(other)
    assert (await site.come_back(other, answer)).status_code == 401
    assert not await is_in(other)
    assert (await site.come_back(site.console.stranger(), answer)).status_code == 401
    assert (await site.come_back(browser, answer)).status_code == 200
    await browser.client.post("/logout")
    assert (await site.come_back(browser, answer)).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "nobody"},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"nonce": None},
        {"nonce": "another"},
        {"iss": "https://else.example"},
        {"aud": "others"},
        {"aud": [CLIENT_ID, "others"], "azp": "others"},
        {"exp": 1.0},
        {"exp": None},
        {"iat": None},
    ],
)
async def test_a_token_that_is_wrong_in_any_part_lets_nobody_in(
    site: Site, claims: dict[str, Any]
) -> None:
    site.provider.claims = claims
    browser = site.console.stranger()
    page = await site.log_in(browser)
    assert (page.status_code, await is_in(browser)) == (401, False)
    assert 'role="alert"' in page.text


async def test_a_token_that_somebody_else_signed_lets_nobody_in(site: Site) -> None:
    site.provider.signs_with = Signer()
    browser = site.console.stranger()
    assert (await site.log_in(browser)).status_code == 401
    assert not await is_in(browser)


@pytest.mark.parametrize(
    "change",
    [
        {"state": "another"},
        {"state": ""},
        {"iss": "https://else.example"},
        {"code": "another"},
        {"error": "access_denied", "code": None},
    ],
)
async def test_an_answer_that_is_not_to_this_attempt_lets_nobody_in(
    site: Site, change: dict[str, str | None]
) -> None:
    browser = site.console.stranger()
    answer = {**await site.leave(browser), **change}
    page = await site.come_back(browser, {k: v for k, v in answer.items() if v is not None})
    assert (page.status_code, await is_in(browser)) == (401, False)


async def test_a_disabled_account_stays_out(site: Site) -> None:
    await site.console.accounts.change("ann", password=None, is_disabled=True)
    assert (await site.log_in(site.console.stranger())).status_code == 401


@pytest.mark.parametrize(
    "about",
    [
        {"issuer": "https://else.example"},
        {"token_endpoint": "http://else.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
    ],
)
async def test_a_provider_that_says_odd_things_of_itself_is_away(
    site: Site, about: dict[str, Any]
) -> None:
    site.provider.about = about
    assert (await site.console.stranger().get("/login/oidc")).status_code == 503


async def test_a_provider_that_is_away_is_told_and_passwords_go_on(site: Site) -> None:
    site.provider.status = 500
    browser = site.console.stranger()
    assert (await browser.get("/login/oidc")).status_code == 503
    await site.console.accounts.add(Account("ben", Role.REVIEWER, HASH))
    assert (await browser.log_in("ben")).status_code == 303


async def test_an_address_is_a_name_only_once_it_is_verified() -> None:
    async with providing() as provider:
        client = Client(provider.issuer, CLIENT_ID, CLIENT_SECRET, "email")
        async with opened(login=client) as console:
            site = Site(console, provider)
            await console.accounts.add(Account("ann@example.org", Role.REVIEWER, ""))
            provider.claims = {"email": "ann@example.org"}
            assert (await site.log_in(console.stranger())).status_code == 401
            provider.claims["email_verified"] = True
            assert (await site.log_in(console.stranger())).status_code == 200


async def test_an_account_without_a_password_is_open_to_none() -> None:
    assert not await is_right("", "")
    assert not await is_right("the password of an account that does not exist", "")


async def test_without_a_provider_there_is_no_such_way_in() -> None:
    async with opened() as console:
        assert (await console.stranger().get("/login/oidc")).status_code == 404
        assert "/login/oidc" not in (await console.stranger().get("/login")).text


@pytest.mark.parametrize(
    "values",
    [
        {"console_oidc_issuer": "http://login.example.org", "console_oidc_client_id": "guard"},
        {"console_oidc_issuer": "https://login.example.org"},
    ],
)
def test_a_provider_in_the_clear_or_without_a_client_is_refused(values: dict[str, str]) -> None:
    settings = Settings(console="127.0.0.1:0", **values)  # type: ignore[arg-type]
    assert any("console_oidc" in each for each in exposure_problems(settings))
