"""Who may use the console, and who is logged in. Knows no password: only its hash is kept.

Sessions are found by the SHA-256 of a secret that the browser alone has.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sqlalchemy import Connection, case, delete, insert, select, update

from guard_service.errors import InvalidRequest, Violation
from guard_service.review.database import Database
from guard_service.review.dialect import clock_ms
from guard_service.review.table import review_accounts, review_sessions

accounts, sessions = review_accounts.c, review_sessions.c

SESSION_S = 12 * 3600  # a long shift
IDLE_S = 45 * 60
_SEEN_EVERY_MS = 60_000  # not a write with each page
_MAX_FAILURES = 5
_LOCK_MS = 60_000


class Role(Enum):
    REVIEWER = "reviewer"  # works the queue
    LEAD = "lead"  # also sees the figures and the records, appeals, marks golden items
    ADMIN = "admin"  # also disables accounts
    AUDITOR = "auditor"  # sees figures, records and reads; changes nothing, reads no text


# Who does what, in the console and over gRPC alike.
WORKS = frozenset({Role.REVIEWER, Role.LEAD, Role.ADMIN})
OVERSEES = frozenset({Role.LEAD, Role.ADMIN, Role.AUDITOR})
LEADS = frozenset({Role.LEAD, Role.ADMIN})
ADMINISTERS = frozenset({Role.ADMIN})
ANY = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    role: Role
    password: str = field(repr=False)  # its hash
    tenant: str | None = None  # None: the items of all
    is_cleared: bool = False  # for the categories that are kept from others
    is_disabled: bool = False


class Accounts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, account: Account) -> None:
        """InvalidRequest where the name is taken: it stands in what was resolved before."""
        await self._database.run(lambda c: _add(c, account))

    async def change(self, name: str, *, password: str | None, is_disabled: bool | None) -> None:
        """Set what is not None, and end the account's sessions; InvalidRequest if there is none."""
        given = {"password": password, "is_disabled": is_disabled}
        values: dict[str, Any] = {n: value for n, value in given.items() if value is not None}
        await self._database.run(lambda c: _change(c, name, values))

    async def all(self) -> tuple[Account, ...]:
        statement = select(review_accounts).order_by(accounts.name)
        return await self._database.read(
            lambda c: tuple(map(_account, c.execute(statement).mappings()))
        )

    async def find(self, name: str) -> Account | None:
        """Who may try to log in: not if disabled, nor for a while after failures in a row."""
        return await self._database.read(lambda c: _find(c, name))

    async def failed(self, name: str) -> None:
        """Count a wrong password; each fifth in a row locks the account for a minute."""
        await self._database.run(lambda c: _fail(c, name))

    async def log_in(self, name: str) -> str:
        """Begin a session; its secret, which is kept nowhere."""
        secret = secrets.token_urlsafe(32)
        await self._database.run(lambda c: _begin(c, name, secret))
        return secret

    async def log_out(self, secret: str) -> None:
        ended = delete(review_sessions).where(sessions.digest == _digest(secret))
        await self._database.run(lambda c: c.execute(ended))

    async def seen(self, secret: str) -> Account | None:
        """Whose session this is; None if it ended, was idle too long, or was never begun."""
        row = await self._database.read(lambda c: _session(c, secret))
        if row is None:
            return None
        if row["now_ms"] - row["seen_ms"] > _SEEN_EVERY_MS:
            again = update(review_sessions).where(sessions.digest == _digest(secret))
            await self._database.run(lambda c: c.execute(again.values(seen_ms=clock_ms(c))))
        return _account(row)


def _add(connection: Connection, account: Account) -> None:
    taken = select(accounts.name).where(accounts.name == account.name)
    if connection.execute(taken).scalar() is not None:
        raise InvalidRequest((Violation("name", "is taken"),))
    connection.execute(
        insert(review_accounts).values(
            name=account.name,
            tenant=account.tenant,
            role=account.role.value,
            password=account.password,
            is_cleared=account.is_cleared,
        )
    )


def _change(connection: Connection, name: str, values: dict[str, Any]) -> None:
    unlocked = values | {"num_failures": 0, "locked_until_ms": 0}
    changed = update(review_accounts).where(accounts.name == name).values(unlocked)
    if connection.execute(changed).rowcount == 0:
        raise InvalidRequest((Violation("name", "no such account"),))
    connection.execute(delete(review_sessions).where(sessions.name == name))


def _find(connection: Connection, name: str) -> Account | None:
    free = accounts.locked_until_ms <= clock_ms(connection)
    statement = select(review_accounts).where(accounts.name == name, ~accounts.is_disabled, free)
    row = connection.execute(statement).mappings().one_or_none()
    return _account(row) if row else None


def _fail(connection: Connection, name: str) -> None:
    count = accounts.num_failures + 1
    until = case((count % _MAX_FAILURES == 0, clock_ms(connection) + _LOCK_MS), else_=0)
    failed = update(review_accounts).where(accounts.name == name)
    connection.execute(failed.values(num_failures=count, locked_until_ms=until))


def _begin(connection: Connection, name: str, secret: str) -> None:
    now_ms = clock_ms(connection)
    connection.execute(delete(review_sessions).where(sessions.expires_ms <= now_ms))
    begun = {"digest": _digest(secret), "name": name, "seen_ms": now_ms}
    connection.execute(
        insert(review_sessions).values(begun | {"expires_ms": now_ms + SESSION_S * 1000})
    )
    right = update(review_accounts).where(accounts.name == name)
    connection.execute(right.values(num_failures=0, locked_until_ms=0))


def _session(connection: Connection, secret: str) -> dict[str, Any] | None:
    now_ms = clock_ms(connection)
    statement = (
        select(review_accounts, sessions.seen_ms)
        .join(review_sessions, sessions.name == accounts.name)
        .where(
            sessions.digest == _digest(secret),
            sessions.expires_ms > now_ms,
            sessions.seen_ms > now_ms - IDLE_S * 1000,
            ~accounts.is_disabled,
        )
    )
    row = connection.execute(statement).mappings().one_or_none()
    return {**row, "now_ms": now_ms} if row else None


def _account(row: Mapping[Any, Any]) -> Account:
    return Account(
        row["name"],
        Role(row["role"]),
        row["password"],
        row["tenant"],
        row["is_cleared"],
        row["is_disabled"],
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
