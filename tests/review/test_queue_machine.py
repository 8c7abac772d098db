"""Any order of claims, pauses, crashes and clock jumps, against a model of ten lines.

GUARD_TEST_STEPS sets how many steps are tried on SQLite; on PostgreSQL it is a quarter.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
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
from review_items import item
from services import postgresql_url
from sqlalchemy import BigInteger, Column, MetaData, Table, delete, insert, select, update

from guard_service.errors import ClaimLost
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore
from guard_service.review.table import metadata as tables
from guard_service.review.table import review_audit, review_resolutions

_STEPS_PER_RUN = 40
_STEPS = int(os.environ.get("GUARD_TEST_STEPS", "400"))

clock_table = Table("clock", MetaData(), Column("now_ms", BigInteger))


@dataclass(frozen=True)
class Holding:
    reviewer: Reviewer
    held: Held


class Machine(RuleBasedStateMachine):
    """What a reviewer's page does, with a clock that the test moves."""

    url = "sqlite://"
    weaken: Callable[[list[Any]], list[Any]] = staticmethod(lambda conditions: conditions)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = ReviewStore(self.url)
        self.run(self.store.start())
        self.now_ms, self.num_items, self.num_resolved = 1_000_000, 0, 0
        self.holder: dict[str, tuple[Holding, int]] = {}  # the last claim, and until when
        self.looks: dict[str, list[str]] = {}
        self.holdings: list[Holding] = []  # all that anybody ever held and has not forgotten
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

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def in_sql(self, work: Callable[[Any], Any]) -> Any:
        return self.run(self.store.database.run(work))

    def is_held(self, item_id: str) -> bool:
        return item_id in self.holder and self.holder[item_id][1] > self.now_ms

    def is_valid(self, holding: Holding) -> bool:
        item_id = holding.held.item_id
        return self.is_held(item_id) and self.holder[item_id][0] == holding

    @precondition(lambda self: self.num_items < 4)
    @rule(looks=st.integers(1, 2))
    def add(self, looks: int) -> None:
        made = item(self.num_items, place=Place(looks_wanted=looks))
        self.num_items += 1
        self.run(self.store.add(made))
        self.looks[made.id] = []

    @rule(name=st.sampled_from("ab"), lease_s=st.integers(1, 20))
    def claim(self, name: str, lease_s: int) -> None:
        reviewer = Reviewer(name, "")
        claim = self.run(self.queue.claim(reviewer, lease_s))
        if claim is None:
            return
        item_id = claim.item.id
        assert not self.is_held(item_id), "held twice"
        assert name not in self.looks[item_id], "looked twice"
        holding = Holding(reviewer, Held(item_id, claim.token))
        self.holder[item_id] = holding, self.now_ms + lease_s * 1000
        self.holdings.append(holding)

    @rule(data=st.data(), act=st.sampled_from(["renew", "release", "resolve", "crash"]))
    def use(self, data: st.DataObject, act: str) -> None:
        if not self.holdings:
            return
        holding = data.draw(st.sampled_from(self.holdings))
        if act == "crash":
            self.holdings.remove(holding)
            return
        is_valid = self.is_valid(holding)
        try:
            getattr(self, f"_{act}")(holding)
        except ClaimLost:
            assert not is_valid, "a holder was refused"
        else:
            assert is_valid, "a stale holder was let in"

    def _renew(self, holding: Holding) -> None:
        self.run(self.queue.renew(holding.reviewer, holding.held, 10))
        self.holder[holding.held.item_id] = holding, self.now_ms + 10_000

    def _release(self, holding: Holding) -> None:
        self.run(self.queue.release(holding.reviewer, holding.held))
        del self.holder[holding.held.item_id]

    def _resolve(self, holding: Holding) -> None:
        answer = Answer(Outcome.UPHELD)
        self.run(self.queue.resolve(holding.reviewer, holding.held, answer))
        self.holder.pop(holding.held.item_id, None)
        self.looks[holding.held.item_id].append(holding.reviewer.name)

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
        self.run(self.store.stop())
        self.runner.close()


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
    run_state_machine_as_test(machine, settings=chosen)


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
