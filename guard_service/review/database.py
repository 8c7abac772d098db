"""Opens the database and runs transactions on its threads; what returned is on disk.

SQLite is used by one thread through one connection, with synchronous=FULL and a rollback journal:
before 3.51.3 a write-ahead log could be corrupted by two connections. The journal is truncated, not
deleted: FULL does not wait for a deletion, and after a power cut it would undo what was committed.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool, StaticPool

from guard_service.errors import SettingsInvalid, StoreUnavailable
from guard_service.review.turn import Turn

T = TypeVar("T")

_BUSY_S = 5.0  # how long a writer of a SQLite file waits for others
_PATIENT = f"busy_timeout={int(_BUSY_S * 1000)}"
_NUM_THREADS = 4  # each with a connection, of a database that has a server
_MIGRATION_LOCK = 4_735_261  # any number that nobody else locks by
_POSTGRESQL_OPTIONS = "-c synchronous_commit=on -c statement_timeout=5s -c lock_timeout=5s"


class Database:
    """All SQL runs on threads, so that nothing waits inside the event loop."""

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url, "database_url")
        num_threads = 1 if self.is_sqlite else _NUM_THREADS
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="review-store")

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    async def start(self) -> None:
        """Create or migrate the tables; StoreUnavailable if the database cannot be used."""
        await self.run(self._migrate)

    async def stop(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)  # work whose caller left still ends
        await asyncio.to_thread(self.engine.dispose)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction that is on disk when this returns.

        It is done a second time where a row written meanwhile was in its way.
        """
        return await self._on_thread(lambda: self._transact(work))

    async def read(self, work: Callable[[Connection], T], limit_s: float | None = None) -> T:
        """The same for work that writes nothing, and keeps no writer waiting.

        PostgreSQL gives each statement five seconds, or `limit_s`.
        """
        return await self._on_thread(lambda: self._read(work, limit_s))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except SQLAlchemyError as error:
            # Not the error's text: it quotes the statement's values.
            raise StoreUnavailable(f"the database failed ({type(error).__name__})") from None

    def _transact(self, work: Callable[[Connection], T]) -> T:
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except IntegrityError:
            with self.engine.begin() as connection:
                return work(connection)

    def _read(self, work: Callable[[Connection], T], limit_s: float | None) -> T:
        with self.engine.execution_options(is_reading=True).connect() as connection:
            if limit_s is not None and not self.is_sqlite:
                limit = f"SET LOCAL statement_timeout = {int(limit_s * 1000)}"
                connection.exec_driver_sql(limit)
            return work(connection)

    def _migrate(self, connection: Connection) -> None:
        if not self.is_sqlite:  # where a transaction has the whole file
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def open_engine(url: str, setting: str) -> Engine:
    """Connects at the first use; SettingsInvalid names the setting if the URL means nothing."""
    try:
        return _create(_read_url(url))
    except (SQLAlchemyError, ImportError) as error:  # not the URL: it can hold a password
        raise SettingsInvalid(f"{setting}: {type(error).__name__}") from None


def database_problem(url: str) -> str | None:
    """Why items cannot be written there, or None; makes no file and changes none."""
    try:
        engine = create_engine(_read_url(url), poolclass=NullPool)
        is_sqlite, path = engine.dialect.name == "sqlite", Path(engine.url.database or ".")
        if is_sqlite and not path.exists():
            return None if os.access(path.parent, os.W_OK) else f"{path.parent}: cannot be written"
        with engine.connect() as connection:
            if is_sqlite:  # which connects to anything: take the lock that writing takes
                connection.exec_driver_sql("BEGIN IMMEDIATE")
    except (SQLAlchemyError, ImportError, ValueError) as error:
        return str(getattr(error, "orig", None) or error).partition("\n")[0]
    return None


def _read_url(text: str) -> URL:
    url = make_url(text)
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _create(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        arguments = {"connect_timeout": 5, "options": _POSTGRESQL_OPTIONS}
        return create_engine(
            url, pool_size=_NUM_THREADS, pool_pre_ping=True, connect_args=arguments
        )
    # One connection for one thread: a file database then never meets a second writer of ours.
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _harden)
    is_file = url.database and url.database != ":memory:" and not url.query
    turn = Turn(Path(url.database), _BUSY_S) if is_file and url.database else None
    event.listen(engine, "begin", partial(_begin, turn))
    return engine


def _harden(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver would begin transactions late, or never
    pragmas = "journal_mode=TRUNCATE", "synchronous=FULL", _PATIENT, "secure_delete=ON"
    for pragma in (*pragmas, "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(turn: Turn | None, connection: Connection) -> None:
    if connection.get_execution_options().get("is_reading"):
        connection.exec_driver_sql("BEGIN")
    elif turn is None or not turn.take(lambda: _is_begun(connection)):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_begun(connection: Connection) -> bool:
    """False where somebody else is writing; what waits its turn asks again soon."""
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if getattr(error.orig, "sqlite_errorname", "") != "SQLITE_BUSY":
            raise
        return False
    finally:
        connection.exec_driver_sql(f"PRAGMA {_PATIENT}")
    return True
