"""A shadow decides what is decided anyway; what it would change is counted and kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from conversations import conversation
from random_policies import policy

from guard_service.decision import Decision
from guard_service.errors import StoreUnavailable
from guard_service.pipeline import Assessment, Check, Outcome
from guard_service.policy import Action, Policy
from guard_service.review.flip import Flip, keep_flips, read_flips
from guard_service.review.store import open_store
from guard_service.shadow import Shadow, shadow_in
from guard_service.sight.metrics import REGISTRY
from guard_service.verdict import Reading, read_verdict

LIVE = policy(version="1")
STRICT = policy(version="2", categories={c: {"threshold": 0.2} for c in LIVE.rules})
READING = Reading(0.4, 1.0, (0.75, 0.25, 0.0))
CHECK = Check(conversation("a"), tenant="acme")


def outcome(reading: Reading = READING, live: Policy = LIVE, number: int = 0) -> Outcome:
    verdict = read_verdict([reading], live)
    action = Action.BLOCK if verdict.is_unsafe else Action.ALLOW
    made = Outcome(f"r-{number}", live, "m", Decision(action), Assessment.COMPLETE, verdict)
    return replace(made, readings=(reading,))


class Kept:
    def __init__(self, error: Exception | None = None) -> None:
        self.flips: list[Flip] = []
        self._error = error

    async def __call__(self, flips: Sequence[Flip]) -> None:
        if self._error:
            raise self._error
        self.flips += flips


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"guard_shadow_{name}_total", labels) or 0.0


async def seen(shadow: Shadow, *outcomes: Outcome) -> None:
    async with shadow.keeping():
        for each in outcomes:
            shadow.see(CHECK, each)


async def test_an_action_that_would_change_is_counted_and_kept_without_text() -> None:
    kept, before = Kept(), count("flips", category="S1", action="block")
    await seen(Shadow(STRICT, kept), outcome())
    (flip,) = kept.flips
    assert (flip.before, flip.after, flip.category) == (Action.ALLOW, Action.BLOCK, "S1")
    assert (flip.policy_version, flip.shadow_version, flip.tenant) == ("1", "2", "acme")
    assert flip.codes_after == ("S1",)
    assert count("flips", category="S1", action="block") == before + 1


async def test_an_action_that_stays_is_counted_alone() -> None:
    kept, before = Kept(), count("decisions", outcome="same")
    await seen(Shadow(STRICT, kept), outcome(Reading(0.01, 1.0, READING.first_scores)))
    assert kept.flips == []
    assert count("decisions", outcome="same") == before + 1


@pytest.mark.parametrize(
    "other",
    [
        outcome(live=policy(id="other")),
        replace(outcome(), verdict=None, assessment=Assessment.UNAVAILABLE),
    ],
)
async def test_another_policy_and_what_was_not_judged_are_left_alone(other: Outcome) -> None:
    kept = Kept()
    before = sum(count("decisions", outcome=o) for o in ("same", "flipped", "unanswerable"))
    await seen(Shadow(STRICT, kept), other)
    after = sum(count("decisions", outcome=o) for o in ("same", "flipped", "unanswerable"))
    assert (kept.flips, after) == ([], before)


async def test_a_live_policy_that_changed_under_the_shadow_is_told_and_harms_nobody() -> None:
    kept, before = Kept(), count("decisions", outcome="unanswerable")
    fewer = policy(categories={"S1": {}, "S2": {}})
    await seen(Shadow(STRICT, kept), outcome(Reading(0.4, 1.0, (0.5, 0.5)), fewer))
    assert kept.flips == []
    assert count("decisions", outcome="unanswerable") == before + 1


async def test_answers_wait_for_no_store_and_a_flood_is_bounded() -> None:
    before = count("flips_lost")
    kept = Kept()
    await seen(Shadow(STRICT, kept), *(outcome(number=n) for n in range(1100)))
    assert len(kept.flips) == 1000
    assert count("flips_lost") == before + 100


async def test_a_store_that_is_away_loses_flips_and_nothing_else() -> None:
    before = count("flips_lost")
    shadow = Shadow(STRICT, Kept(StoreUnavailable()))
    async with shadow.keeping():
        shadow.see(CHECK, outcome())
        await asyncio.sleep(0)
        shadow.see(CHECK, outcome(number=1))
    assert count("flips_lost") == before + 2


async def test_flips_are_events_that_can_be_listed_by_their_shadow() -> None:
    other = policy(version="3", categories={c: {"threshold": 0.1} for c in LIVE.rules})
    async with open_store("sqlite://") as store:
        for shadow in (STRICT, other):
            await seen(shadow_in(shadow, store), outcome())
        read = store.database.read
        every = await read(lambda c: list(read_flips(c)))
        assert [each["shadow_version"] for each in every] == ["2", "3"]
        (one,) = await read(lambda c: list(read_flips(c, STRICT.digest)))
        assert (one["before"], one["after"], one["request_id"]) == ("allow", "block", "r-0")
        assert one["item"] is None


async def test_a_flip_of_a_review_item_is_an_event_of_it() -> None:
    kept = Kept()
    await seen(Shadow(STRICT, kept), replace(outcome(), review_item_id="a" * 32))
    async with open_store("sqlite://") as store:
        await store.database.run(lambda c: keep_flips(c, kept.flips))
        (one,) = await store.database.read(lambda c: list(read_flips(c)))
    assert one["item"] == "a" * 32
