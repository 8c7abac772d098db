"""The keys of kept texts, one for each: destroying a key erases its text in every copy there is.

That holds for backups too if they do not have the keys in them, so keys can live in a database of
their own, by default a file beside an SQLite database. Calls wait for the disk: they are for the
threads of the store.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from threading import Lock

from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    String,
    Table,
    delete,
    insert,
    make_url,
    select,
)

from guard_service.review.cipher import SealedKey
from guard_service.review.database import open_engine
from guard_service.review.table import metadata

review_text_keys = Table(
    "review_text_keys",
    metadata,
    Column("item_id", String(32), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_ms", BigInteger, nullable=False, index=True),
)
keys = review_text_keys.c


class Keyring:
    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, "review_keys_url")
        is_sqlite = self._engine.dialect.name == "sqlite"
        self._alone = Lock() if is_sqlite else nullcontext()  # its one connection, many threads

    def create(self) -> None:
        """Make the table where there is none."""
        with self._alone, self._engine.begin() as connection:
            review_text_keys.create(connection, checkfirst=True)

    def close(self) -> None:
        self._engine.dispose()

    def put(self, item_id: str, key: SealedKey, expires_ms: int) -> None:
        """On disk when this returns, and instead of one that an attempt before has left."""
        row = {"item_id": item_id, "key_id": key.key_id, "sealed": key.data}
        with self._alone, self._engine.begin() as connection:
            connection.execute(delete(review_text_keys).where(keys.item_id == item_id))
            connection.execute(insert(review_text_keys).values(row | {"expires_ms": expires_ms}))

    def find(self, item_id: str) -> SealedKey | None:
        statement = select(keys.key_id, keys.sealed).where(keys.item_id == item_id)
        with self._alone, self._engine.begin() as connection:
            row = connection.execute(statement).one_or_none()
        return SealedKey(*row) if row else None

    def destroy(self, item_ids: Sequence[str], now_ms: int) -> None:
        """These, and those whose time is over: of a text that was never written, say."""
        gone = keys.item_id.in_(item_ids) | (keys.expires_ms <= now_ms)
        with self._alone, self._engine.begin() as connection:
            connection.execute(delete(review_text_keys).where(gone))


def beside(database_url: str) -> str:
    """Where keys are unless told otherwise: a file beside SQLite's, or the same PostgreSQL."""
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return database_url
    stem = url.database.removesuffix(".db")
    return url.set(database=f"{stem}-keys.db").render_as_string(hide_password=False)
