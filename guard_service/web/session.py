"""Who is at the browser: the cookie, the account behind it, and what its role may do."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from guard_service.errors import Forbidden, InvalidRequest, Violation
from guard_service.review.account import SESSION_S, Account, Accounts, Role
from guard_service.review.claim import Reviewer, Route

SameSite = Literal["lax", "strict"]

_MAX_FORM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Person:
    """Who is logged in, in the words of the queue."""

    account: Account
    csrf: str
    withheld: tuple[str, ...]  # categories that are kept from them

    @property
    def reviewer(self) -> Reviewer:
        return Reviewer(self.account.name, self.account.tenant)

    def may(self, roles: frozenset[Role]) -> bool:
        return self.account.role in roles

    def route(self, category: str = "", language: str = "") -> Route:
        categories = (category,) if category else ()
        return Route(categories, (language,) if language else (), self.withheld)


@dataclass(frozen=True, slots=True)
class Sessions:
    accounts: Accounts
    restricted: tuple[str, ...]
    is_secure: bool

    async def person(self, request: Request) -> Person | None:
        secret = self.kept(request)
        account = await self.accounts.seen(secret) if secret else None
        if account is None:
            return None
        withheld = () if account.is_cleared else self.restricted
        return Person(account, _csrf(secret), withheld)

    async def begin(self, response: Response, name: str) -> None:
        self.keep(response, "", await self.accounts.log_in(name), SESSION_S, "strict")

    async def end(self, request: Request, response: Response) -> None:
        await self.accounts.log_out(self.kept(request))
        self.drop(response, "", "strict")

    def kept(self, request: Request, what: str = "") -> str:
        """What the browser keeps for us; empty: nothing."""
        return request.cookies.get(self._cookie(what), "")

    def keep(
        self, response: Response, what: str, value: str, age_s: int, same_site: SameSite
    ) -> None:
        response.set_cookie(
            self._cookie(what),
            value,
            max_age=age_s,
            secure=self.is_secure,
            httponly=True,
            samesite=same_site,
        )

    def drop(self, response: Response, what: str, same_site: SameSite) -> None:
        response.delete_cookie(
            self._cookie(what), secure=self.is_secure, httponly=True, samesite=same_site
        )

    def _cookie(self, what: str) -> str:
        """With the prefix a browser takes it from this very host alone, over TLS."""
        name = "-".join(filter(None, ["guard", what]))
        return f"__Host-{name}" if self.is_secure else name


Form = dict[str, list[str]]
Page = Callable[[Any, Request, Person], Awaitable[Response]]


async def read_form(request: Request) -> Form:
    """What a form sent; InvalidRequest if it is larger than any of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise InvalidRequest((Violation("form", f"at most {_MAX_FORM_BYTES} bytes"),))
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise InvalidRequest((Violation("form", "not a form"),)) from None


def for_roles(roles: frozenset[Role]) -> Callable[[Page], Callable[..., Awaitable[Response]]]:
    """Only for who is logged in with such a role; a change also needs the session's token."""

    def decorate(page: Page) -> Callable[..., Awaitable[Response]]:
        async def guarded(self: Any, request: Request) -> Response:
            person = await self.sessions.person(request)
            if person is None:
                return RedirectResponse("/login", 303)
            if request.method == "POST":
                request.state.form = await read_form(request)
                sent = request.state.form.get("csrf", [""])[0]
                if not hmac.compare_digest(sent.encode(), person.csrf.encode()):
                    raise Forbidden("csrf: not the token of this session")
            if not person.may(roles):
                raise Forbidden("this role may not do that")
            return await page(self, request, person)

        return guarded

    return decorate


def _csrf(secret: str) -> str:
    """A page knows it, and the cookie cannot be computed from it."""
    return hashlib.sha256(b"csrf:" + secret.encode()).hexdigest()
