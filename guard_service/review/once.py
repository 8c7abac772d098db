"""What a request did is kept with what it did, so that sent again it does nothing more."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from guard_service.errors import InvalidRequest, Violation
from guard_service.review.claim import Reviewer
from guard_service.review.dialect import clock_ms
from guard_service.review.table import review_requests

Work = Callable[[], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what; without a request id it is done each time."""

    reviewer: Reviewer
    request_id: str
    what: tuple[str, ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.what).encode()).hexdigest()


def once(connection: Connection, call: Call, work: Work) -> dict[str, Any] | None:
    """The answer of `work`, or that of the same call before; None is not kept.

    Two at once collide on the primary key; then the transaction of one is done anew.
    """
    if not call.request_id:
        return work()
    key = {
        "tenant": call.reviewer.tenant or "",
        "reviewer": call.reviewer.name,
        "request_id": call.request_id,
    }
    before = select(review_requests.c.call, review_requests.c.answer)
    row = connection.execute(before.filter_by(**key)).one_or_none()
    if row is None:
        return _keep(connection, call, key, work())
    if row.call != call.digest:
        raise InvalidRequest((Violation("request_id", "was used for another call"),))
    kept: dict[str, Any] = json.loads(row.answer)
    return kept


def _keep(
    connection: Connection, call: Call, key: dict[str, str], answer: dict[str, Any] | None
) -> dict[str, Any] | None:
    if answer is not None:
        values = key | {"call": call.digest, "answer": json.dumps(answer)}
        now_ms = clock_ms(connection)
        connection.execute(insert(review_requests).values(**values, answered_ms=now_ms))
    return answer
