"""Keeps review items in a database: what was acknowledged is on disk.

SQLite by default, written by one thread through one connection, with a rollback journal and
synchronous=FULL: before 3.51.3 a write-ahead log could be corrupted by two connections.
"""

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    func,
    insert,
    inspect,
    literal,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from guard_service.conversation import Role
from guard_service.decision import ReviewReason
from guard_service.errors import SettingsInvalid, StoreUnavailable
from guard_service.policy import Action
from guard_service.review.item import Page, ReviewItem

T = TypeVar("T")

metadata = MetaData()
review_items = Table(
    "review_items",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("request_id", String(128), nullable=False),
    Column("conversation_digest", String(64), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("action", String(16), nullable=False),
    Column("judged_role", String(16), nullable=False),
    Column("unsafe_score", Float),
    Column("codes", Text, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("policy_version", String(64), nullable=False),
    Column("model", String(128), nullable=False),
    Column("labels", Text, nullable=False),
    Column("tenant", String(64), nullable=False),
    # A request sent again finds its item; an id that a caller reuses for another text does not.
    UniqueConstraint("tenant", "request_id", "conversation_digest"),
    sqlite_autoincrement=True,
)


class ReviewStore:
    """All SQL runs on one thread, so that nothing waits inside the event loop."""

    def __init__(self, url: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="review-store")
        try:
            self._engine = _create(url)
        except (SQLAlchemyError, ImportError) as error:  # not the URL: it can hold a password
            raise SettingsInvalid(f"database_url: {type(error).__name__}") from None

    async def start(self) -> None:
        """Create what is missing in the database; StoreUnavailable if it cannot be used."""
        await self._run(self._create)

    async def stop(self) -> None:
        await self._run(self._engine.dispose)
        self._thread.shutdown()

    async def add(self, item: ReviewItem) -> str:
        """Write the item to disk; its id, or that of the same item if it was written before."""
        return await self._run(lambda: self._add(item))

    async def list_items(
        self, page_size: int, cursor: int | None = None, tenant: str | None = None
    ) -> Page:
        """Items written before `cursor`, newest first; of one tenant, or with None of all."""
        return await self._run(lambda: self._list_items(page_size, cursor, tenant))

    async def num_waiting(self) -> int:
        """How many items wait for people."""
        return await self._run(self._num_waiting)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except SQLAlchemyError as error:
            # Not the error's text: it quotes the statement's values.
            raise StoreUnavailable(f"the database failed ({type(error).__name__})") from None

    def _create(self) -> None:
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins none for DDL
            before = _without_tenants(connection)
            metadata.create_all(connection)
            if before is not None:
                rows = select(before, literal("")).select_from(before)
                columns = [column.name for column in before.columns]
                connection.execute(insert(review_items).from_select([*columns, "tenant"], rows))
                before.drop(connection)

    def _add(self, item: ReviewItem) -> str:
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(review_items).values(_to_row(item)))
            return item.id
        except IntegrityError:
            return self._find(item)

    def _find(self, item: ReviewItem) -> str:
        columns = review_items.c
        statement = select(columns.id).where(
            columns.tenant == item.tenant,
            columns.request_id == item.request_id,
            columns.conversation_digest == item.conversation_digest,
        )
        with self._engine.connect() as connection:
            return str(connection.execute(statement).scalar_one())

    def _num_waiting(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(review_items)).scalar_one()

    def _list_items(self, page_size: int, cursor: int | None, tenant: str | None) -> Page:
        columns = review_items.c
        statement = select(review_items).order_by(columns.sequence.desc()).limit(page_size + 1)
        if cursor is not None:
            statement = statement.where(columns.sequence < cursor)
        if tenant is not None:
            statement = statement.where(columns.tenant == tenant)
        with self._engine.connect() as connection:
            rows = connection.execute(statement).mappings().all()
        has_more = len(rows) > page_size
        items = tuple(_from_row(dict(row)) for row in rows[:page_size])
        return Page(items, rows[page_size - 1]["sequence"] if has_more else None)


def database_problem(url: str) -> str | None:
    """Why items cannot be written there, or None; makes no file and changes none."""
    try:
        engine = create_engine(url, poolclass=NullPool)
        is_sqlite, path = engine.dialect.name == "sqlite", Path(engine.url.database or ".")
        if is_sqlite and not path.exists():
            return None if os.access(path.parent, os.W_OK) else f"{path.parent}: cannot be written"
        with engine.connect() as connection:
            if is_sqlite:  # which connects to anything: take the lock that writing takes
                connection.exec_driver_sql("BEGIN IMMEDIATE")
    except (SQLAlchemyError, ImportError, ValueError) as error:
        return str(getattr(error, "orig", None) or error).partition("\n")[0]
    return None


def _without_tenants(connection: Connection) -> Table | None:
    """The table as it was before items had a tenant, put aside under another name; or None."""
    inspector = inspect(connection)
    if not inspector.has_table(review_items.name):
        return None
    if "tenant" in {column["name"] for column in inspector.get_columns(review_items.name)}:
        return None
    connection.exec_driver_sql("ALTER TABLE review_items RENAME TO review_items_without_tenants")
    return Table("review_items_without_tenants", MetaData(), autoload_with=connection)


def _create(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url)
    # One connection for one thread: a file database then never meets a second writer of ours.
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _harden)
    return engine


def _harden(connection: Any, _: object) -> None:
    for pragma in ("journal_mode=DELETE", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _to_row(item: ReviewItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "request_id": item.request_id,
        "conversation_digest": item.conversation_digest,
        "created_at": item.created_at,
        "reason": item.reason.value,
        "action": item.action.value,
        "judged_role": item.judged_role.value,
        "unsafe_score": item.unsafe_score,
        "codes": ",".join(item.codes),
        "policy": item.policy,
        "policy_version": item.policy_version,
        "model": item.model,
        "labels": json.dumps(dict(item.labels)),
        "tenant": item.tenant,
    }


def _from_row(row: dict[str, Any]) -> ReviewItem:
    row.pop("sequence")
    created_at = row.pop("created_at")
    return ReviewItem(
        **row
        | {
            # SQLite keeps no time zone; all times are written as UTC.
            "created_at": created_at.replace(tzinfo=UTC)
            if created_at.tzinfo is None
            else created_at,
            "reason": ReviewReason(row["reason"]),
            "action": Action(row["action"]),
            "judged_role": Role(row["judged_role"]),
            "codes": tuple(row["codes"].split(",")) if row["codes"] else (),
            "labels": json.loads(row["labels"]),
        }
    )
