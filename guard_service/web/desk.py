"""The reviewer's desk: the queue, one item at a time, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from guard_service.errors import Forbidden, InvalidRequest, ReviewItemUnknown, Violation
from guard_service.policy import Policy
from guard_service.review.account import ANY, WORKS
from guard_service.review.claim import Answer, Claim, Held
from guard_service.review.diary import read_diary
from guard_service.review.figures import Waiting, count_waiting
from guard_service.review.item import Outcome
from guard_service.review.precedent import find_precedents
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.web.case import case_of
from guard_service.web.page import render
from guard_service.web.recent import Recent
from guard_service.web.session import Form, Person, Sessions, for_roles

_MAX_NOTE = 2000


@dataclass(frozen=True, slots=True)
class View:
    """Which part of the queue somebody works; empty: all of it."""

    category: str = ""
    language: str = ""

    @property
    def query(self) -> str:
        given = {"category": self.category, "language": self.language}
        return urlencode({name: value for name, value in given.items() if value})


@dataclass(frozen=True, slots=True)
class Desk:
    sessions: Sessions
    store: ReviewStore
    queue: ReviewQueue
    policies: Mapping[str, Policy]
    lease_s: float
    counts: Recent[Waiting] = field(default_factory=Recent)

    @for_roles(ANY)
    async def home(self, request: Request, person: Person) -> Response:
        database, name = self.store.database, person.account.name
        whose, route = person.account.tenant, person.route()
        counted = partial(count_waiting, database, whose, route)
        return render(
            "home.html",
            waiting=await self.counts.get((whose, route), counted),
            diary=await read_diary(database, name),
            holding=await self.queue.holding(person.reviewer),
            is_empty="empty" in request.query_params,
            person=person,
            here="home",
        )

    @for_roles(WORKS)
    async def claim(self, request: Request, person: Person) -> Response:
        return await self._next(person, _view(request.state.form))

    @for_roles(WORKS)
    async def look(self, request: Request, person: Person) -> Response:
        claim = await self.queue.look(person.reviewer, _held(request))
        _check_cleared(claim, person)
        return await self._show(request, person, claim)

    @for_roles(WORKS)
    async def reveal(self, request: Request, person: Person) -> Response:
        """The text, in answer to a POST: that it was read is on disk by then."""
        held = _held(request)
        _check_cleared(await self.queue.look(person.reviewer, held), person)
        claim = await self.queue.read_text(person.reviewer, held)
        return await self._show(request, person, claim, is_revealed=True)

    @for_roles(WORKS)
    async def resolve(self, request: Request, person: Person) -> Response:
        await self.queue.resolve(person.reviewer, _held(request), _answer(request.state.form))
        return await self._next(person, _view(request.state.form))

    @for_roles(WORKS)
    async def skip(self, request: Request, person: Person) -> Response:
        """Take the next one first, or this one, as the most urgent, would come back."""
        response = await self._next(person, _view(request.state.form))
        await self.queue.release(person.reviewer, _held(request))
        return response

    @for_roles(WORKS)
    async def release(self, request: Request, person: Person) -> Response:
        await self.queue.release(person.reviewer, _held(request))
        return RedirectResponse("/", 303)

    @for_roles(WORKS)
    async def renew(self, request: Request, person: Person) -> Response:
        held = _held(request)
        await self.queue.renew(person.reviewer, held, self.lease_s, with_text=False)
        return RedirectResponse(_path(held, _view(request.state.form)), 303)

    @for_roles(WORKS)
    async def undo(self, request: Request, person: Person) -> Response:
        """Hold the item again, and leave the one at hand to others."""
        held = _held(request)
        await self.queue.undo(person.reviewer, held)
        for other in await self.queue.holding(person.reviewer):
            if other != held:
                await self.queue.release(person.reviewer, other)
        return RedirectResponse(_path(held, _view(request.state.form)), 303)

    async def _next(self, person: Person, view: View) -> Response:
        route = person.route(view.category, view.language)
        claim = await self.queue.claim(person.reviewer, self.lease_s, route, with_text=False)
        if claim is None:
            return RedirectResponse("/?empty", 303)
        return RedirectResponse(_path(Held(claim.item.id, claim.token), view), 303)

    async def _show(
        self, request: Request, person: Person, claim: Claim, *, is_revealed: bool = False
    ) -> Response:
        database, item = self.store.database, claim.item
        return render(
            "item.html",
            case=case_of(claim, self.policies.get(item.policy)),
            precedents=await find_precedents(database, item),
            diary=await read_diary(database, person.account.name),
            is_revealed=is_revealed,
            lease_s=self.lease_s,
            view=_view({name: [value] for name, value in request.query_params.items()}),
            person=person,
            here="item",
        )


def _held(request: Request) -> Held:
    return Held(item_id_of(request), request.path_params["token"])


def item_id_of(request: Request) -> str:
    item_id: str = request.path_params["item_id"]
    if len(item_id) != 32 or not set(item_id) <= set("0123456789abcdef"):
        raise ReviewItemUnknown
    return item_id


def _path(held: Held, view: View) -> str:
    return f"/items/{held.item_id}/{held.token}" + (f"?{view.query}" if view.query else "")


def _view(form: Form) -> View:
    return View(*(form.get(name, [""])[0][:64] for name in ("category", "language")))


def _answer(form: Form) -> Answer:
    outcome, note = form.get("outcome", [""])[0], form.get("note", [""])[0].strip()
    codes = tuple(dict.fromkeys(form.get("codes", [])))
    violations = []
    if outcome not in {each.value for each in Outcome}:
        violations.append(Violation("outcome", "is upheld or overturned"))
    if len(note) > _MAX_NOTE:
        violations.append(Violation("note", f"at most {_MAX_NOTE} characters"))
    if len(codes) > 30 or not all(
        c[:1] == "S" and c[1:].isascii() and c[1:].isdigit() for c in codes
    ):
        violations.append(Violation("codes", "a category is S1 to S99"))
    if violations:
        raise InvalidRequest(tuple(violations))
    return Answer(Outcome(outcome), codes, note)


def _check_cleared(claim: Claim, person: Person) -> None:
    """Who lost the clearance while holding an item; and items claimed over gRPC."""
    if not set(person.withheld).isdisjoint(claim.item.codes):
        raise Forbidden("this category is kept for those who are cleared for it")
