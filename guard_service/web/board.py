"""For leads and auditors: the figures, and single records with who said and read what."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from guard_service.policy import Policy
from guard_service.review.account import LEADS, OVERSEES
from guard_service.review.figures import Figures, read_figures
from guard_service.review.queue import ReviewQueue
from guard_service.review.reads import reads_of
from guard_service.review.store import ReviewStore
from guard_service.web import plot
from guard_service.web.desk import item_id_of
from guard_service.web.page import render
from guard_service.web.recent import Recent
from guard_service.web.session import Person, Sessions, for_roles

_PATIENCE_S = 0.15  # of who looks: then a page says that the figures are being counted


@dataclass(frozen=True, slots=True)
class Share:
    """One line of the agreement table."""

    name: str
    meaning: str
    num_all: int
    interval: plot.Interval | None


@dataclass(frozen=True, slots=True)
class Board:
    sessions: Sessions
    store: ReviewStore
    queue: ReviewQueue
    policies: Mapping[str, Policy]
    read: Recent[Figures] = field(default_factory=Recent)

    @for_roles(OVERSEES)
    async def figures(self, _: Request, person: Person) -> Response:
        whose = person.account.tenant
        try:
            async with asyncio.timeout(_PATIENCE_S):
                reading = partial(read_figures, self.store.database, whose)
                figures = await self.read.get(whose, reading)
        except TimeoutError:
            return render("counting.html", 202, person=person, here="figures")
        return render(
            "figures.html",
            figures=figures,
            counted=datetime.fromtimestamp(figures.counted_ms / 1000, UTC),
            flow=plot.flow(figures.days),
            distribution=plot.distribution(figures.scores),
            shares=_shares(figures),
            thresholds={name: policy.threshold for name, policy in self.policies.items()},
            width=plot.WIDTH,
            height=plot.HEIGHT,
            person=person,
            here="figures",
        )

    @for_roles(OVERSEES)
    async def find(self, request: Request, _: Person) -> Response:
        """From the search field to the record."""
        asked = request.query_params.get("id", "").strip()
        return RedirectResponse(f"/records/{asked}" if asked.isalnum() else "/figures", 303)

    @for_roles(OVERSEES)
    async def record(self, request: Request, person: Person) -> Response:
        item_id, tenant = item_id_of(request), person.account.tenant
        return render(
            "record.html",
            record=await self.store.get(item_id, tenant),
            reads=await reads_of(self.store.database, item_id),
            person=person,
            here="record",
        )

    @for_roles(LEADS)
    async def appeal(self, request: Request, person: Person) -> Response:
        await self.queue.appeal(person.reviewer, item_id_of(request))
        return RedirectResponse(f"/records/{item_id_of(request)}", 303)

    @for_roles(LEADS)
    async def mark_golden(self, request: Request, person: Person) -> Response:
        await self.queue.mark_golden(person.reviewer, item_id_of(request))
        return RedirectResponse(f"/records/{item_id_of(request)}", 303)


def _shares(figures: Figures) -> list[Share]:
    rows = (
        ("People and model, all", "upheld, of all that is resolved", figures.with_model),
        ("People and model, sampled", "of items drawn at random", figures.with_model_sampled),
        ("Between people", "second looks that said what the first did", figures.between_people),
        ("On golden items", "answers that were the known one", figures.on_golden),
    )
    return [Share(name, meaning, a.num_all, plot.interval(a)) for name, meaning, a in rows]
