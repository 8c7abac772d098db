"""What is stored of an item decides it again, bit for bit."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_policies import any_reading, policy, random_items, random_policy
from review_items import item
from sqlalchemy import func, select, update

from guard_service.decision import ReviewReason
from guard_service.evidence import Evidence, redecide
from guard_service.review.evidence import Decided, Wanted
from guard_service.review.item import ReviewItem
from guard_service.review.replay import Redecided, every_decided, replay
from guard_service.review.store import ReviewStore, open_store
from guard_service.review.table import review_items, review_policies


async def stored(url: str, items: Sequence[ReviewItem]) -> list[Decided]:
    async with open_store(url) as store:
        for each in items:
            await store.add(each)
        return [decided async for decided in every_decided(store.database)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_an_item_is_decided_again_exactly_by_its_own_policy(seed: int) -> None:
    items = random_items(random.Random(seed), 12)
    found = asyncio.run(stored("sqlite://", items))
    assert [each.evidence for each in found] == [each.evidence for each in items]
    for each in found:
        again = replay(each)
        assert isinstance(again, Redecided)
        assert again.is_same


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_another_policy_decides_as_if_it_had_been_asked(seed: int) -> None:
    draw = random.Random(seed)
    items = random_items(draw, 8)
    other = random_policy(draw, threshold=0.75)
    for each, was in zip(asyncio.run(stored("sqlite://", items)), items, strict=True):
        assert was.evidence
        again = replay(each, other)
        assert isinstance(again, Redecided)
        assert (again.verdict, again.decision) == redecide(was.evidence, other, was.request_id)
        assert again.is_flip == (again.decision.action is not was.action)


async def test_evidence_keeps_its_bits_in_each_database(database_url: str) -> None:
    items = random_items(random.Random(11), 30)
    found = await stored(database_url, items)
    assert [each.evidence for each in found] == [each.evidence for each in items]
    assert all(isinstance(again := replay(each), Redecided) and again.is_same for each in found)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ReviewStore]:
    async with open_store(f"sqlite:///{tmp_path / 'guard.db'}") as store:
        yield store


EVIDENCE = Evidence(policy(), (any_reading(random.Random(1)),))


def blocked(number: int, evidence: Evidence = EVIDENCE) -> ReviewItem:
    return replace(item(number, policy="p", policy_version="2"), evidence=evidence)


async def test_a_policy_is_stored_once_for_all_items(store: ReviewStore) -> None:
    for number in range(5):
        await store.add(blocked(number))
    count = select(func.count()).select_from(review_policies)
    assert await store.database.read(lambda c: c.execute(count).scalar_one()) == 1


async def test_pages_leave_nothing_out(store: ReviewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard_service.review.replay._PAGE", 2)
    for number in range(5):
        await store.add(blocked(number))
    await store.add(item(9, reason=ReviewReason.UNAVAILABLE, unsafe_score=None))  # not judged
    found = [each.item.id async for each in every_decided(store.database)]
    assert found == [item(number).id for number in range(5)]


async def test_items_are_found_by_id_and_by_policy(store: ReviewStore) -> None:
    await store.add(blocked(1))
    await store.add(replace(blocked(2), policy="other"))

    async def ids(wanted: Wanted) -> list[str]:
        return [each.item.id async for each in every_decided(store.database, wanted)]

    assert await ids(Wanted(item(2).id)) == [item(2).id]
    assert await ids(Wanted(policy="p")) == [item(1).id]


async def test_a_stored_decision_that_was_changed_is_seen(store: ReviewStore) -> None:
    (made,) = random_items(random.Random(5), 1) or random_items(random.Random(6), 1)
    await store.add(made)
    await store.database.run(lambda c: c.execute(update(review_items).values(codes="S3")))
    (found,) = [each async for each in every_decided(store.database)]
    again = replay(found)
    assert isinstance(again, Redecided)
    assert not again.is_same
