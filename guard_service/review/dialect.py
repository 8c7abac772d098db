"""What SQLite and PostgreSQL say differently: any text, and what time it is."""

from typing import Any

from sqlalchemy import BigInteger, Connection, Dialect, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class AnyText(TypeDecorator[str]):
    """Text of callers: PostgreSQL stores no NUL, so that is escaped."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.replace("%", "%25").replace("\x00", "%00")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.replace("%00", "\x00").replace("%25", "%")


class now_ms(FunctionElement[int]):
    """The database's clock in milliseconds: all leases of all servers are measured by it."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(now_ms, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


def clock_ms(connection: Connection) -> int:
    return int(connection.execute(now_ms().select()).scalar_one())
