"""How a database means to find what it is asked for."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event

_EXPLAIN = {"postgresql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}


def plans_of(
    connection: Connection, word: str, work: Callable[[], object], explain: str = ""
) -> list[str]:
    """The plan of each statement with that word in it that the work makes."""
    explain = explain or _EXPLAIN[connection.dialect.name]
    plans: list[str] = []

    def note(_: object, __: object, statement: str, given: Any, *___: object) -> None:
        if word in statement and not statement.startswith("EXPLAIN"):
            rows = connection.exec_driver_sql(f"{explain} {statement}", given).all()
            plans.append("\n".join(str(row[-1]) for row in rows))

    event.listen(connection, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return plans
