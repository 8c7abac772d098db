"""Logging in and out, and who may."""

import logging
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from guard_service.errors import InvalidRequest, LoginRefused, Violation
from guard_service.review.account import ADMINISTERS, ANY
from guard_service.web.oidc import Attempt, Provider
from guard_service.web.page import render
from guard_service.web.password import is_right
from guard_service.web.session import Person, Sessions, for_roles, read_form

log = logging.getLogger(__name__)

_ATTEMPT_S = 600
_RETURN = "/login/oidc/return"
_REFUSED = "That is not a name and its password, or the account is locked for a minute."


@dataclass(frozen=True, slots=True)
class Door:
    sessions: Sessions
    provider: Provider | None = None

    async def show(self, request: Request) -> Response:
        if await self.sessions.person(request):
            return RedirectResponse("/", 303)
        return self._login()

    async def log_in(self, request: Request) -> Response:
        """Open to all; the shield has seen that the form is ours."""
        form = await read_form(request)
        name, password = (form.get(field, [""])[0] for field in ("name", "password"))
        account = await self.sessions.accounts.find(name)
        if not await is_right(password, account.password if account else None):
            await self.sessions.accounts.failed(name)
            log.warning("login refused", extra={"action": "console_login_refused"})
            return self._login(_REFUSED, 401)
        response = RedirectResponse("/", 303)
        await self.sessions.begin(response, name)
        return response

    async def leave(self, request: Request) -> Response:
        """To the provider."""
        attempt = Attempt.new()
        response = RedirectResponse(await self._provider.address(attempt, _back(request)), 303)
        # Sent along when the provider sends back, which a strict one would not be.
        self.sessions.keep(response, "login", attempt.cookie, _ATTEMPT_S, "lax")
        return response

    async def come_back(self, request: Request) -> Response:
        """From the provider, once for each time that somebody left."""
        try:
            name = await self._name(request)
        except LoginRefused as error:
            log.warning("login refused", extra={"action": "console_login_refused"})
            response = self._login(f"{error}.".capitalize(), 401)
        else:
            response = render("entered.html", person=None, here="")
            await self.sessions.begin(response, name)
        self.sessions.drop(response, "login", "lax")
        return response

    async def _name(self, request: Request) -> str:
        """LoginRefused also where the person has no account."""
        attempt = Attempt.from_cookie(self.sessions.kept(request, "login"))
        answer = dict(request.query_params)
        name = await self._provider.name(attempt, answer, _back(request))
        if await self.sessions.accounts.find(name) is None:
            raise LoginRefused("whoever that is has no account here, or it is disabled or locked")
        return name

    @property
    def _provider(self) -> Provider:
        assert self.provider, "This is a bug: there is no such route without a provider."
        return self.provider

    def _login(self, problem: str = "", status: int = 200) -> HTMLResponse:
        shown = self.provider.client.provider if self.provider else ""
        return render("login.html", status, problem=problem, provider=shown, person=None, here="")

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


def _back(request: Request) -> str:
    """Where the provider sends back to; the shield has seen that the host is ours."""
    return f"{request.app.state.scheme}://{request.headers['host']}{_RETURN}"
