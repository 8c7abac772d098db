"""A console for tests: its rooms in memory, and who logs in."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from conversations import policy
from review_items import item
from starlette.applications import Starlette

from guard_service.conversation import Conversation, Message, Role
from guard_service.review.account import Account, Accounts
from guard_service.review.account import Role as Office
from guard_service.review.cipher import Sealer
from guard_service.review.item import Place, ReviewItem
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.web.console import Rooms, console
from guard_service.web.oidc import Client
from guard_service.web.password import hash_password

ORIGIN = "http://127.0.0.1:8050"
PASSWORD = "correct horse battery staple"
HASH = hash_password(PASSWORD)
SAID = Conversation((Message(Role.USER, "hello"), Message(Role.ASSISTANT, "a secret reply")))


def kept_item(number: int = 0, conversation: Conversation = SAID, **values: Any) -> ReviewItem:
    values.setdefault("place", Place(category="S1"))
    place = replace(values.pop("place"), keep_text_s=3600)
    return item(number, place=place, conversation=conversation, **values)


@dataclass(frozen=True)
class Opened:
    store: ReviewStore
    queue: ReviewQueue
    accounts: Accounts
    app: Starlette

    async def person(self, office: Office = Office.REVIEWER, **values: Any) -> "Browser":
        """Somebody new of this office, logged in."""
        name = values.pop("name", office.value)
        await self.accounts.add(Account(name, office, HASH, **values))
        browser = self.stranger()
        await browser.log_in(name)
        return browser

    def stranger(self) -> "Browser":
        transport = httpx.ASGITransport(self.app)
        return Browser(httpx.AsyncClient(transport=transport, base_url=ORIGIN))


@dataclass
class Browser:
    """Sends what a page of the console would, but for what a test changes."""

    client: httpx.AsyncClient
    csrf: str = ""

    async def log_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        answer = await self.post("/login", {"name": name, "password": password})
        if answer.status_code == 303:
            page = await self.get("/")
            self.csrf = page.text.split('name="csrf" value="')[1].split('"')[0]
        return answer

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def post(
        self,
        path: str,
        form: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"} | dict(headers or {})
        return await self.client.post(
            path,
            data={"csrf": self.csrf} | dict(form or {}),
            headers={name: value for name, value in headers.items() if value},
        )

    async def claim(self, **view: str) -> str:
        """The path of the item that is then held; "" where there is none."""
        answer = await self.post("/claim", view)
        where = answer.headers["location"]
        return where.partition("?")[0] if where.startswith("/items/") else ""


@asynccontextmanager
async def opened(
    url: str = "sqlite://",
    restricted: tuple[str, ...] = ("S3", "S4"),
    login: Client | None = None,
) -> AsyncIterator[Opened]:
    store = ReviewStore(url, Sealer([b"k" * 32]))
    await store.start()
    queue = ReviewQueue(store, draw=lambda: 0.9)
    policies = {"default": policy(id="default", version="1", categories={"S1": {}, "S10": {}})}
    rooms = Rooms(store, queue, policies, 300.0, restricted, login)
    try:
        yield Opened(store, queue, Accounts(store.database), console(rooms, [ORIGIN]))
    finally:
        await store.stop()
