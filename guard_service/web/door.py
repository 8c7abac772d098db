"""Logging in and out, and who may."""

import logging
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from guard_service.errors import InvalidRequest, Violation
from guard_service.review.account import ADMINISTERS, ANY
from guard_service.web.page import render
from guard_service.web.password import is_right
from guard_service.web.session import Person, Sessions, for_roles, read_form

log = logging.getLogger(__name__)

_REFUSED = "That is not a name and its password, or the account is locked for a minute."


@dataclass(frozen=True, slots=True)
class Door:
    sessions: Sessions

    async def show(self, request: Request) -> Response:
        if await self.sessions.person(request):
            return RedirectResponse("/", 303)
        return _login()

    async def log_in(self, request: Request) -> Response:
        """Open to all; the shield has seen that the form is ours."""
        form = await read_form(request)
        name, password = (form.get(field, [""])[0] for field in ("name", "password"))
        account = await self.sessions.accounts.find(name)
        if not await is_right(password, account.password if account else None):
            await self.sessions.accounts.failed(name)
            log.warning("login refused", extra={"action": "console_login_refused"})
            return _login(_REFUSED, 401)
        response = RedirectResponse("/", 303)
        await self.sessions.begin(response, name)
        return response

    @for_roles(ANY)
    async def log_out(self, request: Request, _: Person) -> Response:
        response = RedirectResponse("/login", 303)
        await self.sessions.end(request, response)
        return response

    @for_roles(ADMINISTERS)
    async def list_accounts(self, _: Request, person: Person) -> Response:
        accounts = await self.sessions.accounts.all()
        return render("accounts.html", accounts=accounts, person=person, here="accounts")

    @for_roles(ADMINISTERS)
    async def switch(self, request: Request, person: Person) -> Response:
        """Disable an account, which ends its sessions, or enable it again."""
        name = request.path_params["name"]
        if name == person.account.name:
            raise InvalidRequest((Violation("name", "nobody locks themselves out"),))
        is_disabled = request.state.form.get("disable", [""])[0] == "yes"
        await self.sessions.accounts.change(name, password=None, is_disabled=is_disabled)
        return RedirectResponse("/accounts", 303)


def _login(problem: str = "", status: int = 200) -> Response:
    return render("login.html", status, problem=problem, person=None, here="")
