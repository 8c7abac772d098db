"""How far a sink has come, and which server publishes there: in the database, for all servers.

A server goes by an id of its own start: one that lost its lease and comes back late moves nothing.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, case, func, insert, select, update

from guard_service.review.dialect import now_ms
from guard_service.review.table import review_feed, review_sinks

sinks = review_sinks.c


@dataclass(frozen=True, slots=True)
class Place:
    sink: str
    holder: str
    lease_s: float

    def take(self, connection: Connection) -> int | None:
        """Hold the sink for `lease_s` from now: its position, or None while another server does.

        A sink that is new, or was away for longer than events are kept, begins with the oldest.
        """
        oldest = select(review_feed.c.purged).scalar_subquery()
        position = case((sinks.position < oldest, oldest), else_=sinks.position)
        is_free = (sinks.holder == self.holder) | (sinks.lease_until_ms <= now_ms())
        statement = update(review_sinks).where(sinks.name == self.sink, is_free)
        taken = statement.values(position=position, **self._held()).returning(sinks.position)
        found: int | None = connection.execute(taken).scalar()
        if found is None and not self._exists(connection):
            new = insert(review_sinks).values(name=self.sink, position=oldest, **self._held())
            found = connection.execute(new.returning(sinks.position)).scalar_one()
        return found

    def mark(self, connection: Connection, position: int) -> bool:
        """All up to that position is acknowledged; False, and not marked, if the lease is lost."""
        held = update(review_sinks).where(sinks.name == self.sink, sinks.holder == self.holder)
        marked = held.values(position=position, **self._held())
        return connection.execute(marked).rowcount == 1

    def leave(self, connection: Connection) -> None:
        """Let another server have it at once."""
        held = update(review_sinks).where(sinks.name == self.sink, sinks.holder == self.holder)
        connection.execute(held.values(lease_until_ms=0))

    def _held(self) -> dict[str, object]:
        return {"holder": self.holder, "lease_until_ms": now_ms() + int(self.lease_s * 1000)}

    def _exists(self, connection: Connection) -> bool:
        there = select(sinks.name).where(sinks.name == self.sink)
        return connection.execute(there).scalar() is not None


def num_behind(connection: Connection, sink: str) -> int:
    """How many events the sink has not acknowledged."""
    position = select(sinks.position).where(sinks.name == sink).scalar_subquery()
    behind = select(review_feed.c.head - func.coalesce(position, review_feed.c.purged))
    return int(connection.execute(behind).scalar_one())


def set_back(connection: Connection, sink: str, position: int) -> bool:
    """Publish all after that position again; False if there is no such sink.

    Whoever holds it loses it, so that what it is just publishing moves nothing.
    """
    back = {"position": position, "holder": "", "lease_until_ms": 0}
    there = update(review_sinks).where(sinks.name == sink, sinks.position >= position)
    return connection.execute(there.values(back)).rowcount == 1
