"""Any order of claims, pauses, crashes and clock jumps, against a model of ten lines.

GUARD_TEST_STEPS sets how many steps are tried on SQLite; on PostgreSQL it is a quarter.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from length import length
from review_items import item
from services import postgresql_url
from sqlalchemy import BigInteger, Column, MetaData, Table, delete, event, insert, select, update

from guard_service.errors import ClaimLost
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.review.table import metadata as tables
from guard_service.review.table import review_audit, review_resolutions

_STEPS_PER_RUN = 40
_STEPS = length("STEPS", 400, full=200_000)

# How many statements of a transaction are done before the server dies; mostly it does not.
DEATHS = st.one_of(st.just(0), st.just(0), st.integers(1, 12))

clock_table = Table("clock", MetaData(), Column("now_ms", BigInteger))


class Died(Exception):
    """The server went between two statements of a transaction."""


@dataclass(frozen=True)
class Holding:
    reviewer: Reviewer
    held: Held


class Machine(RuleBasedStateMachine):
    """What a reviewer's page does, with a clock that the test moves."""

    url = "sqlite://"
    runner: asyncio.Runner  # with the store for all walks: making one takes longer than a walk
    store: ReviewStore
    weaken: Callable[[list[Any]], list[Any]] = staticmethod(lambda conditions: conditions)
    is_transactional = True

    def __init__(self) -> None:
        super().__init__()
        self.now_ms, self.num_items, self.num_resolved = 1_000_000, 0, 0
        self.holder: dict[str, tuple[Holding, int]] = {}  # the last claim, and until when
        self.looks: dict[str, list[str]] = {}
        self.holdings: list[Holding] = []  # all that anybody ever held and has not forgotten
        self.statements_left = 0  # until the server dies; 0: it lives
        self.in_sql(lambda c: clock_table.create(c, checkfirst=True))
        left = [table for table in tables.sorted_tables if table is not review_audit]
        for table in [*reversed(left), clock_table]:
            self.in_sql(lambda c, table=table: c.execute(delete(table)))
        self.in_sql(lambda c: c.execute(insert(clock_table).values(now_ms=self.now_ms)))
        clock: Any = select(clock_table.c.now_ms).scalar_subquery()
        self.queue = ReviewQueue(self.store, draw=lambda: 0.9, clock_ms=clock)
        holds = self.queue._holds
        weaken = type(self).weaken
        self.queue._holds = lambda *given: weaken(holds(*given))  # type: ignore[method-assign]
        event.listen(self.store.database.engine, "before_cursor_execute", self.before_statement)

    def before_statement(self, connection: Any, *_: Any) -> None:
        if not self.is_transactional:
            connection.connection.commit()
        if self.statements_left:
            self.statements_left -= 1
            if self.statements_left == 0:
                raise Died

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def survives(self, dies_after: int, work: Any) -> Any:
        """What came of it; False where the server died in it, which must have changed nothing."""
        self.statements_left = dies_after
        try:
            return self.run(work)
        except Died:
            return False
        finally:
            self.statements_left = 0

    def in_sql(self, work: Callable[[Any], Any]) -> Any:
        return self.run(self.store.database.run(work))

    def is_held(self, item_id: str) -> bool:
        return item_id in self.holder and self.holder[item_id][1] > self.now_ms

    def is_valid(self, holding: Holding) -> bool:
        item_id = holding.held.item_id
        return self.is_held(item_id) and self.holder[item_id][0] == holding

    @precondition(lambda self: self.num_items < 4)
    @rule(looks=st.integers(1, 2), dies_after=DEATHS)
    def add(self, looks: int, dies_after: int) -> None:
        # Each at a time of its own: of two that are as old either may be given, which hypothesis
        # takes for a test that hangs on chance.
        created_at = datetime.fromtimestamp(self.num_items, UTC)
        made = item(self.num_items, created_at=created_at, place=Place(looks_wanted=looks))
        self.num_items += 1
        if self.survives(dies_after, self.store.add(made)):
            self.looks[made.id] = []

    @rule(name=st.sampled_from("ab"), lease_s=st.integers(1, 20), dies_after=DEATHS)
    def claim(self, name: str, lease_s: int, dies_after: int) -> None:
        reviewer = Reviewer(name, "")
        claim = self.survives(dies_after, self.queue.claim(reviewer, lease_s))
        if not claim:
            return
        item_id = claim.item.id
        assert item_id in self.looks, "added in part"
        assert not self.is_held(item_id), "held twice"
        assert name not in self.looks[item_id], "looked twice"
        holding = Holding(reviewer, Held(item_id, claim.token))
        self.holder[item_id] = holding, self.now_ms + lease_s * 1000
        self.holdings.append(holding)

    @rule(
        data=st.data(),
        act=st.sampled_from(["renew", "release", "resolve", "crash"]),
        dies_after=DEATHS,
    )
    def use(self, data: st.DataObject, act: str, dies_after: int) -> None:
        if not self.holdings:
            return
        holding = data.draw(st.sampled_from(self.holdings))
        if act == "crash":
            self.holdings.remove(holding)
            return
        is_valid = self.is_valid(holding)
        reviewer, held = holding.reviewer, holding.held
        works = {
            "renew": lambda: self.queue.renew(reviewer, held, 10),
            "release": lambda: self.queue.release(reviewer, held),
            "resolve": lambda: self.queue.resolve(reviewer, held, Answer(Outcome.UPHELD)),
        }
        try:
            done = self.survives(dies_after, works[act]())
        except ClaimLost:
            assert not is_valid, "a holder was refused"
        else:
            assert is_valid or done is False, "a stale holder was let in"
            if done is not False:
                self.count(act, holding)

    def count(self, act: str, holding: Holding) -> None:
        """What is then to be expected."""
        item_id = holding.held.item_id
        if act == "renew":
            self.holder[item_id] = holding, self.now_ms + 10_000
            return
        self.holder.pop(item_id, None)
        if act == "resolve":
            self.looks[item_id].append(holding.reviewer.name)

    @rule(ms=st.one_of(st.integers(1, 15_000), st.integers(-30_000, 30_000)))
    def pause_or_jump(self, ms: int) -> None:
        self.now_ms += ms
        self.in_sql(lambda c: c.execute(update(clock_table).values(now_ms=self.now_ms)))

    @invariant()
    def what_was_acknowledged_is_kept(self) -> None:
        columns = review_resolutions.c
        rows = self.in_sql(lambda c: c.execute(select(columns.item_id, columns.reviewer)).all())
        kept = {(item_id, name) for item_id, names in self.looks.items() for name in names}
        assert len(rows) == len(kept)
        assert {tuple(row) for row in rows} == kept

    def teardown(self) -> None:
        event.remove(self.store.database.engine, "before_cursor_execute", self.before_statement)


def walk(machine: type[Machine], num_steps: int, *phases: Phase) -> None:
    chosen = settings(
        max_examples=max(num_steps // _STEPS_PER_RUN, 1),
        stateful_step_count=_STEPS_PER_RUN,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=phases or tuple(Phase),
        print_blob=False,
        database=None,
    )
    with asyncio.Runner() as machine.runner:
        machine.store = ReviewStore(machine.url)
        machine.runner.run(machine.store.start())
        try:
            run_state_machine_as_test(machine, settings=chosen)
        finally:
            machine.runner.run(machine.store.stop())


def test_no_item_is_held_twice_or_lost_on_sqlite() -> None:
    walk(Machine, _STEPS)


def test_no_item_is_held_twice_or_lost_on_postgresql() -> None:
    with postgresql_url() as url:
        walk(type("OnPostgresql", (Machine,), {"url": url}), _STEPS // 4)


@pytest.mark.parametrize("condition", ["token", "lease_until_ms"])
def test_without_the_token_or_the_lease_the_machine_finds_the_error(condition: str) -> None:
    def weaken(conditions: list[Any]) -> list[Any]:
        return [each for each in conditions if f"review_items.{condition} " not in str(each)]

    weak = type("Weak", (Machine,), {"weaken": staticmethod(weaken)})
    with pytest.raises(AssertionError, match="a stale holder was let in"):
        walk(weak, 20_000, Phase.generate)  # not made smaller, which takes long


def test_without_the_transaction_the_machine_finds_the_error() -> None:
    weak = type("Weak", (Machine,), {"is_transactional": False})
    with pytest.raises(AssertionError):
        walk(weak, 20_000, Phase.generate)
