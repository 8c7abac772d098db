"""Counts of the queue: what waits, what came and went, and where people and model differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Executable, case, func, select

from guard_service.review.claim import Route
from guard_service.review.database import Database
from guard_service.review.dialect import clock_ms
from guard_service.review.item import Lane, Outcome
from guard_service.review.selection import is_flagged
from guard_service.review.table import of_tenant, review_items, review_resolutions

items, looks = review_items.c, review_resolutions.c

NUM_DAYS = 14
NUM_BINS = 20
_LIMIT_S = 60.0  # of one statement: it goes through all items of a tenant
DAY_MS = 24 * 3600 * 1000

_is_waiting = items.lane.in_([Lane.RANKED.value, Lane.RANDOM.value])
_was_closed = items.lane.in_([Lane.CLOSED.value, Lane.GOLDEN.value])


@dataclass(frozen=True, slots=True)
class Waiting:
    """Items that nobody has resolved yet, golden ones not among them."""

    num_all: int
    num_held: int
    by_category: Mapping[str, int]
    by_language: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Day:
    """`backlog` is what waited when the day ended."""

    start_ms: int
    num_opened: int
    num_closed: int
    backlog: int


@dataclass(frozen=True, slots=True)
class Split:
    """How many of some items' outcomes were which."""

    num_upheld: int = 0
    num_overturned: int = 0

    @property
    def num_all(self) -> int:
        return self.num_upheld + self.num_overturned


@dataclass(frozen=True, slots=True)
class Bin:
    """Items whose unsafe score lies in this twentieth."""

    num_waiting: int = 0
    outcomes: Split = Split()


@dataclass(frozen=True, slots=True)
class Agreement:
    num_same: int
    num_all: int


@dataclass(frozen=True, slots=True)
class Figures:
    counted_ms: int
    days: tuple[Day, ...]
    by_category: Mapping[str, Split]
    scores: tuple[Bin, ...]
    with_model: Agreement
    with_model_sampled: Agreement  # of those drawn at random: what holds for all
    between_people: Agreement
    on_golden: Agreement


async def count_waiting(database: Database, tenant: str | None, route: Route) -> Waiting:
    """What waits on a route without the categories that are withheld from it."""
    return await database.read(lambda c: _waiting(c, tenant, route))


async def read_figures(database: Database, tenant: str | None) -> Figures:
    """Seconds for millions of items."""
    return await database.read(lambda c: _figures(c, of_tenant(tenant)), _LIMIT_S)


def _waiting(connection: Connection, tenant: str | None, route: Route) -> Waiting:
    where = [_is_waiting, *of_tenant(tenant), *(~is_flagged(code) for code in route.withheld)]
    is_held = items.lease_until_ms > clock_ms(connection)
    held = func.sum(case((is_held, 1), else_=0))
    statement = select(items.category, items.language, func.count(), held).where(*where)
    rows = connection.execute(statement.group_by(items.category, items.language)).all()
    return Waiting(
        sum(row[2] for row in rows),
        sum(row[3] for row in rows),
        _totals((row[0], row[2]) for row in rows),
        _totals((row[1], row[2]) for row in rows),
    )


def _totals(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for name, count in pairs:
        totals[name] = totals.get(name, 0) + count
    return dict(sorted(totals.items(), key=lambda pair: -pair[1]))


def _figures(connection: Connection, tenant: list[ColumnElement[bool]]) -> Figures:
    by_category = _by_category(connection, tenant)
    is_sampled = items.reason == "sampled"
    return Figures(
        clock_ms(connection),
        _days(connection, tenant),
        by_category,
        _scores(connection, tenant),
        _upheld(connection, tenant),
        _upheld(connection, [*tenant, is_sampled]),
        _between_people(connection, tenant),
        _on_golden(connection, tenant),
    )


def _days(connection: Connection, tenant: list[ColumnElement[bool]]) -> tuple[Day, ...]:
    """Of the last two weeks, UTC; an item that is appealed counts as opened again."""
    first = clock_ms(connection) // DAY_MS - NUM_DAYS + 1
    opened = _per_day(connection, items.opened_ms, first, tenant)
    is_last = looks.item_id == items.id, looks.look == items.looks_wanted
    closed = _per_day(connection, looks.resolved_ms, first, [_was_closed, *is_last, *tenant])
    waiting = select(func.count()).where(_is_waiting, *tenant)
    backlog = int(connection.execute(waiting).scalar_one())
    days = []
    for day in reversed(range(first, first + NUM_DAYS)):
        num_opened, num_closed = opened.get(day, 0), closed.get(day, 0)
        days.append(Day(day * DAY_MS, num_opened, num_closed, backlog))
        backlog += num_closed - num_opened
    return tuple(reversed(days))


def _per_day(
    connection: Connection,
    moment_ms: ColumnElement[int],
    first: int,
    where: list[ColumnElement[bool]],
) -> dict[int, int]:
    statement = select((moment_ms // DAY_MS).label("day"), func.count()).where(
        moment_ms >= first * DAY_MS, *where
    )
    return {int(day): count for day, count in connection.execute(statement.group_by("day"))}


def _by_category(connection: Connection, tenant: list[ColumnElement[bool]]) -> dict[str, Split]:
    statement = select(items.category, items.outcome, func.count()).where(_was_closed, *tenant)
    rows = connection.execute(statement.group_by(items.category, items.outcome)).all()
    counts = {(category, outcome): count for category, outcome, count in rows}
    categories = dict.fromkeys(category for category, *_ in rows)
    return {each: _split(counts, each) for each in categories}


def _scores(connection: Connection, tenant: list[ColumnElement[bool]]) -> tuple[Bin, ...]:
    """Bins by comparison: casts round differently from database to database."""
    edges = [(items.unsafe_score < (n + 1) / NUM_BINS, n) for n in range(NUM_BINS - 1)]
    number = case(*edges, else_=NUM_BINS - 1).label("bin")
    scored = select(number, items.outcome, func.count()).where(
        items.unsafe_score.is_not(None), *tenant
    )
    rows = connection.execute(scored.group_by("bin", items.outcome)).all()
    counts = {(number, outcome): count for number, outcome, count in rows}
    return tuple(Bin(counts.get((n, ""), 0), _split(counts, n)) for n in range(NUM_BINS))


def _split(counts: Mapping[tuple[object, str], int], key: object) -> Split:
    return Split(*(counts.get((key, outcome.value), 0) for outcome in Outcome))


def _upheld(connection: Connection, where: list[ColumnElement[bool]]) -> Agreement:
    upheld = func.sum(case((items.outcome == Outcome.UPHELD.value, 1), else_=0))
    return _agreement(connection, select(upheld, func.count()).where(_was_closed, *where))


def _between_people(connection: Connection, tenant: list[ColumnElement[bool]]) -> Agreement:
    """First and second looks that were made without knowing of each other."""
    first, second = looks, review_resolutions.alias().c
    same = func.sum(case((first.outcome == second.outcome, 1), else_=0))
    statement = (
        select(same, func.count())
        .where(first.look == 1, second.look == 2, first.item_id == second.item_id)
        .where(first.looks_wanted == 2, first.item_id == items.id, *tenant)
    )
    return _agreement(connection, statement)


def _on_golden(connection: Connection, tenant: list[ColumnElement[bool]]) -> Agreement:
    """Answers given while the item was golden, against its known one."""
    same = func.sum(case((looks.outcome == items.outcome, 1), else_=0))
    statement = select(same, func.count()).where(
        looks.lane == Lane.GOLDEN.value, looks.item_id == items.id, *tenant
    )
    return _agreement(connection, statement)


def _agreement(connection: Connection, statement: Executable) -> Agreement:
    num_same, num_all = connection.execute(statement).one()
    return Agreement(num_same or 0, num_all)
