"""Keeps review items and, where the policy says so, their sealed texts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from sqlalchemy import Connection, RowMapping, func, insert, select

from guard_service.conversation import Conversation
from guard_service.errors import InvalidRequest, ReviewItemUnknown, StoreUnavailable, Violation
from guard_service.review.audit import Act, note
from guard_service.review.cipher import Note, Sealer
from guard_service.review.claim import Reviewer
from guard_service.review.database import Database
from guard_service.review.dialect import clock_ms
from guard_service.review.erasure import MAX_ERASED, erase_expired, erase_subject
from guard_service.review.intake import MAX_TAKEN, take_in
from guard_service.review.item import Lane, Outcome, Page, Record, Resolution, ReviewItem
from guard_service.review.keyring import Keyring, beside
from guard_service.review.row import (
    item_from_row,
    resolution_from_row,
)
from guard_service.review.table import (
    of_tenant,
    review_items,
    review_reads,
    review_resolutions,
)
from guard_service.review.text import Texts
from guard_service.review.together import Together

_PURGE_EVERY_S = 600.0


class ReviewStore:
    """`keys_url` is where the keys of texts are; see `keyring.py`."""

    def __init__(self, url: str, sealer: Sealer | None = None, keys_url: str = "") -> None:
        self.database = Database(url)
        self._keyring = Keyring(keys_url or beside(url))
        self._texts = Texts(sealer or Sealer(), self._keyring)
        self._intake = Together(self.add_all, MAX_TAKEN)
        self._purging: asyncio.Task[None] | None = None

    @property
    def sealer(self) -> Sealer:
        return self._texts.sealer

    async def start(self) -> None:
        """Create or migrate the tables; StoreUnavailable if the database cannot be used."""
        await self.database.start()
        await self.database.run(lambda _: self._keyring.create())
        self._purging = asyncio.create_task(self._purge_again_and_again())

    async def stop(self) -> None:
        if self._purging:
            self._purging.cancel()
            await asyncio.gather(self._purging, return_exceptions=True)
        await self._intake.finish()
        await self.database.stop()
        self._keyring.close()

    async def add(self, item: ReviewItem) -> str:
        """Write the item to disk; its id, or that of the same item if it was written before."""
        return await self._intake.add(item)

    async def add_all(self, items: Sequence[ReviewItem]) -> list[str]:
        """The same for up to MAX_TAKEN, in one transaction."""
        return await self.database.run(lambda c: take_in(c, items, self._texts))

    async def get(self, item_id: str, tenant: str | None = None) -> Record:
        """The item; what people said of it only once nobody's look is outstanding."""
        return await self.database.read(lambda c: _record(c, item_id, tenant, self.sealer))

    async def list_items(
        self, page_size: int, cursor: int | None = None, tenant: str | None = None
    ) -> Page:
        """Items written before `cursor`, newest first; of one tenant, or with None of all."""
        return await self.database.read(lambda c: _list_items(c, page_size, cursor, tenant))

    async def num_waiting(self) -> int:
        """How many items wait for people, those that somebody holds included."""
        return await self.database.read(_num_waiting)

    async def purge(self) -> int:
        """Erase the texts whose time is over; how many."""
        return await self._erase_all(lambda c: erase_expired(c, self._texts))

    async def erase(self, subject: str, tenant: str, actor: str) -> int:
        """Make the texts of the subject unreadable and forget them; the number of their items."""
        if not subject:  # which is that of every item without one
            raise InvalidRequest((Violation("subject", "is empty"),))
        return await self._erase_all(
            lambda c: erase_subject(c, self._texts, subject, tenant, actor)
        )

    def read_text(
        self, connection: Connection, item: ReviewItem, reviewer: Reviewer
    ) -> Conversation | None:
        """The text that was kept, while its time is not over; who read it is kept as well."""
        text = self._texts.read(connection, item)
        if text is not None:
            read = {"item_id": item.id, "reviewer": reviewer.name, "read_ms": clock_ms(connection)}
            connection.execute(insert(review_reads).values(read))
            note(connection, Act.READ, item.id, item.tenant, reviewer.name)
        return text

    async def _erase_all(self, erase: Callable[[Connection], int]) -> int:
        num_erased = 0
        while num_now := await self.database.run(erase):
            num_erased += num_now
            if num_now < MAX_ERASED:
                break
        return num_erased

    async def _purge_again_and_again(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self.purge()
            await asyncio.sleep(_PURGE_EVERY_S)


@asynccontextmanager
async def open_store(
    url: str, sealer: Sealer | None = None, keys_url: str = ""
) -> AsyncIterator[ReviewStore]:
    """The store, for as long as a command lives."""
    store = ReviewStore(url, sealer, keys_url)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


def _num_waiting(connection: Connection) -> int:
    waiting = review_items.c.lane.in_([Lane.RANKED.value, Lane.RANDOM.value])
    return connection.execute(select(func.count()).where(waiting)).scalar_one()


def _record(connection: Connection, item_id: str, tenant: str | None, sealer: Sealer) -> Record:
    statement = select(review_items).where(review_items.c.id == item_id, *of_tenant(tenant))
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise ReviewItemUnknown
    item = item_from_row(row)
    if item.place.lane is Lane.GOLDEN:  # looks like one that still waits
        return Record(replace(item, place=replace(item.place, lane=Lane.RANKED)))
    if not row["outcome"]:
        return Record(item, is_appealed=row["is_appealed"])
    looks = select(review_resolutions).where(review_resolutions.c.item_id == item_id)
    rows = connection.execute(looks.order_by(review_resolutions.c.look)).mappings()
    resolutions = tuple(_resolution(row, item, sealer) for row in rows)
    return Record(item, Outcome(row["outcome"]), row["is_appealed"], resolutions)


def _resolution(row: RowMapping, item: ReviewItem, sealer: Sealer) -> Resolution:
    note = sealer.open_note(Note(row["note"], row["note_key"]), item.tenant, item.id)
    return replace(resolution_from_row(row), note=note)


def _list_items(
    connection: Connection, page_size: int, cursor: int | None, tenant: str | None
) -> Page:
    columns = review_items.c
    statement = select(review_items).where(*of_tenant(tenant))
    statement = statement.order_by(columns.sequence.desc()).limit(page_size + 1)
    if cursor is not None:
        statement = statement.where(columns.sequence < cursor)
    rows = connection.execute(statement).mappings().all()
    has_more = len(rows) > page_size
    items = tuple(map(item_from_row, rows[:page_size]))
    return Page(items, rows[page_size - 1]["sequence"] if has_more else None)
