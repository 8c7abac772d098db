"""Gives items to people, one holder each, and takes what they decide.

    waiting --claim--> held --resolve--> waiting for another look, or closed
       ^                 | ^                                     |
       +---- release,    | +--- undo, while the lease            |
        or the lease ends       would have lasted         appeal: one more look, by somebody else

Every act on a held item names the token of its claim, so whoever lost the lease is refused.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select, update

from guard_service.errors import ClaimLost, NotResolved
from guard_service.review.audit import Act, note
from guard_service.review.claim import (
    EVERYTHING,
    USUAL,
    Answer,
    Claim,
    Held,
    Reviewer,
    Route,
    Shares,
)
from guard_service.review.dialect import now_ms
from guard_service.review.item import Lane
from guard_service.review.look import Look, check_known, keep_look, reopen, take_back, update_of
from guard_service.review.once import Call, once
from guard_service.review.row import item_from_row, utc_from_ms
from guard_service.review.selection import Free, choose, draw_lanes, free_for
from guard_service.review.store import ReviewStore
from guard_service.review.table import of_tenant, review_items
from guard_service.review.text import has_text

items = review_items.c

_UNHELD = {"holder": "", "lease_until_ms": 0}


class ReviewQueue:
    """`clock_ms` is an SQL expression, so that one clock measures every server's leases."""

    def __init__(
        self,
        store: ReviewStore,
        shares: Shares = USUAL,
        draw: Callable[[], float] = random.random,
        clock_ms: ColumnElement[int] | None = None,
    ) -> None:
        self._store = store
        self._shares = shares
        self._draw = draw
        self._clock_ms: ColumnElement[Any] = now_ms() if clock_ms is None else clock_ms

    async def claim(
        self,
        reviewer: Reviewer,
        lease_s: float,
        route: Route = EVERYTHING,
        request_id: str = "",
        *,
        with_text: bool = True,
    ) -> Claim | None:
        """Hold the item that most needs this reviewer; None where nothing waits for them."""
        call = Call(reviewer, request_id, ("claim", *route.categories, *route.languages))

        def work(connection: Connection) -> Claim | None:
            answer = once(
                connection, call, lambda: self._claim(connection, reviewer, lease_s, route)
            )
            if answer is None:
                return None
            return self._held(connection, reviewer, Held(**answer), with_text=with_text)

        return await self._store.database.run(work)

    async def holding(self, reviewer: Reviewer) -> tuple[Held, ...]:
        """What this reviewer holds now, the oldest claim first."""
        mine = [items.holder == reviewer.name, items.lease_until_ms > self._clock_ms]
        statement = select(items.id, items.token).where(*mine, *of_tenant(reviewer.tenant))
        statement = statement.order_by(items.lease_until_ms)
        read = self._store.database.read
        return await read(lambda c: tuple(Held(*row) for row in c.execute(statement)))

    async def look(self, reviewer: Reviewer, held: Held) -> Claim:
        """The held item without its text; ClaimLost if the lease has ended."""
        read = self._store.database.read
        return await read(lambda c: self._held(c, reviewer, held, with_text=False))

    async def read_text(self, reviewer: Reviewer, held: Held) -> Claim:
        """The held item with its text; that it was read is kept."""
        return await self._store.database.run(lambda c: self._held(c, reviewer, held))

    async def renew(
        self, reviewer: Reviewer, held: Held, lease_s: float, *, with_text: bool = True
    ) -> Claim:
        """Hold it for `lease_s` from now; ClaimLost if the lease has ended."""
        until = {"lease_until_ms": self._clock_ms + int(lease_s * 1000)}

        def work(connection: Connection) -> Claim:
            self._change(connection, reviewer, held, until)
            return self._held(connection, reviewer, held, with_text=with_text)

        return await self._store.database.run(work)

    async def release(self, reviewer: Reviewer, held: Held, request_id: str = "") -> None:
        """Let others have it; ClaimLost if they have already."""
        await self._once(
            Call(reviewer, request_id, ("release", held.item_id, str(held.token))),
            lambda connection: self._change(connection, reviewer, held, _UNHELD),
        )

    async def resolve(
        self, reviewer: Reviewer, held: Held, answer: Answer, request_id: str = ""
    ) -> None:
        """Keep what the reviewer says; ClaimLost if the lease has ended, and nothing is kept."""
        said = (answer.outcome.value, ",".join(answer.codes), *filter(None, [answer.note]))
        await self._once(
            Call(reviewer, request_id, ("resolve", held.item_id, str(held.token), *said)),
            lambda connection: self._resolve(connection, reviewer, held, answer),
        )

    async def undo(self, reviewer: Reviewer, held: Held) -> None:
        """Hold again what was just resolved, for the rest of the lease.

        ClaimLost if that has ended, or something else happened to the item since.
        """
        await self._store.database.run(lambda c: take_back(c, reviewer, held, self._clock_ms))

    async def appeal(self, reviewer: Reviewer, item_id: str, request_id: str = "") -> None:
        """Have somebody else look again, once, whose outcome is final."""
        await self._once(
            Call(reviewer, request_id, ("appeal", item_id)),
            lambda connection: reopen(connection, reviewer, item_id, self._clock_ms),
        )

    async def mark_golden(self, reviewer: Reviewer, item_id: str) -> None:
        """Show a resolved item to every reviewer who has not seen it, to measure them."""
        resolved = items.lane.in_([Lane.CLOSED.value, Lane.GOLDEN.value])
        statement = update_of(reviewer, item_id).where(resolved)
        statement = statement.values(lane=Lane.GOLDEN.value, token=items.token + 1)
        marked = statement.returning(items.tenant)

        def work(connection: Connection) -> None:
            tenant = connection.execute(marked).scalar()
            if tenant is None:
                check_known(connection, reviewer, item_id)
                raise NotResolved
            note(connection, Act.MARKED_GOLDEN, item_id, tenant, reviewer.name)

        await self._store.database.run(work)

    async def _once(self, call: Call, work: Callable[[Connection], object]) -> None:
        def answer(connection: Connection) -> dict[str, Any]:
            work(connection)
            return {"is_done": True}

        await self._store.database.run(lambda c: once(c, call, lambda: answer(c)))

    def _claim(
        self, connection: Connection, reviewer: Reviewer, lease_s: float, route: Route
    ) -> dict[str, Any] | None:
        for lane in draw_lanes(self._shares, self._draw()):
            free = free_for(reviewer, route, lane, self._clock_ms)
            while (chosen := choose(connection, free, self._clock_ms)) is not None:
                taken = self._take(connection, reviewer, (items.sequence == chosen, *free), lease_s)
                if taken is not None:
                    return taken
        return None

    def _take(
        self, connection: Connection, reviewer: Reviewer, free: Free, lease_s: float
    ) -> dict[str, Any] | None:
        """None where it is not free for them any more.

        PostgreSQL chooses by what it saw when it began to look: the same person may have looked at
        the item meanwhile, and left it to others.
        """
        statement = (
            update(review_items)
            .where(*free)
            .values(
                holder=reviewer.name,
                token=items.token + 1,
                lease_until_ms=self._clock_ms + int(lease_s * 1000),
            )
            .returning(items.id, items.token)
        )
        row = connection.execute(statement).one_or_none()
        return None if row is None else {"item_id": row.id, "token": row.token}

    def _held(
        self, connection: Connection, reviewer: Reviewer, held: Held, *, with_text: bool = True
    ) -> Claim:
        """What the holder sees of the item: not how it was chosen, nor what others said."""
        row = self._held_row(connection, reviewer, held)
        item = item_from_row(row)
        text = self._store.read_text(connection, item, reviewer) if with_text else None
        is_kept = text is not None or has_text(connection, item.id)
        until = utc_from_ms(row["lease_until_ms"])
        return Claim(replace(item, conversation=text), held.token, until, is_kept)

    def _held_row(self, connection: Connection, reviewer: Reviewer, held: Held) -> RowMapping:
        statement = select(review_items).where(*self._holds(reviewer, held))
        row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            check_known(connection, reviewer, held.item_id)
            raise ClaimLost
        return row

    def _holds(self, reviewer: Reviewer, held: Held) -> list[ColumnElement[bool]]:
        return [
            items.id == held.item_id,
            items.holder == reviewer.name,
            items.token == held.token,
            items.lease_until_ms > self._clock_ms,
            *of_tenant(reviewer.tenant),
        ]

    def _change(
        self, connection: Connection, reviewer: Reviewer, held: Held, values: dict[str, Any]
    ) -> Any:
        """Change the held item; its row as it then is."""
        holds = update(review_items).where(*self._holds(reviewer, held))
        row = (
            connection.execute(holds.values(values).returning(review_items))
            .mappings()
            .one_or_none()
        )
        if row is None:
            check_known(connection, reviewer, held.item_id)
            raise ClaimLost
        return row

    def _resolve(
        self, connection: Connection, reviewer: Reviewer, held: Held, answer: Answer
    ) -> None:
        lease_until_ms = self._held_row(connection, reviewer, held)["lease_until_ms"]
        row = self._change(connection, reviewer, held, _UNHELD | {"num_looks": items.num_looks + 1})
        look = Look(reviewer.name, answer, row, lease_until_ms, self._store.sealer)
        keep_look(connection, look, self._clock_ms)
