"""What is counted at the seams, and that everything passes through unchanged."""

from datetime import UTC, datetime

import pytest
from conversations import conversation, policy
from scripted import SAFE, UNSAFE, ScriptedEngine, prompt

from guard_service.batching.entry import ANYONE, Answer
from guard_service.conversation import Role
from guard_service.decision import Decision
from guard_service.engine.message import Batch, Piece
from guard_service.errors import SinkUnavailable
from guard_service.pipeline import Assessment, Check, Outcome
from guard_service.policy import Action
from guard_service.review.event import Event, EventKind
from guard_service.sight.journey import watch_call
from guard_service.sight.metrics import REGISTRY
from guard_service.sight.observed import ObservedReader, ObservedSink, answered, observed
from guard_service.usage import Usage
from guard_service.verdict import CategoryScore, Verdict

POLICY = policy()
CHECK = Check(conversation("hello"), request_id="1")


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Reader:
    async def read(self, prompts: object, caller: object) -> list[Answer]:
        return [Answer(SAFE, 1.0, 2.0, 3)]


def outcome(assessment: Assessment, verdict: Verdict | None) -> Outcome:
    action = Action.BLOCK if verdict and verdict.is_unsafe else Action.ALLOW
    return Outcome("1", POLICY, "m", Decision(action), assessment, verdict, usage=Usage(8, 3))


async def test_a_reader_answers_the_same_inside_a_call_and_outside() -> None:
    reader = ObservedReader(Reader())
    before = sample("guard_stage_seconds_count", stage="engine", lane="interactive")
    outside = await reader.read([prompt(1)], ANYONE)
    with watch_call("Moderate", ()):
        assert await reader.read([prompt(1)], ANYONE) == outside
    after = sample("guard_stage_seconds_count", stage="engine", lane="interactive")
    assert after == before + 1


def test_a_verdict_is_counted_by_policy_version_and_category() -> None:
    ours = {"policy": POLICY.id, "policy_version": POLICY.version}
    unsafe = {**ours, "verdict": "unsafe", "action": "block"}
    before = sample("guard_verdicts_total", **unsafe)
    scores = tuple(CategoryScore(c, 0.9, is_flagged=True) for c in POLICY.categories[:1])
    with watch_call("Moderate", ()):
        answered(CHECK, outcome(Assessment.COMPLETE, Verdict(True, 0.9, scores, 1.0)))
    assert sample("guard_verdicts_total", **unsafe) == before + 1
    assert sample("guard_flagged_total", **ours, category=scores[0].category.code) >= 1
    assert sample("guard_unsafe_score_count", role=Role.USER.value) >= 1


class Sink:
    name = "kafka"
    error: Exception | None = None
    is_closed = False

    async def publish(self, events: object) -> None:
        if self.error:
            raise self.error

    async def close(self) -> None:
        self.is_closed = True


async def test_events_that_a_sink_takes_are_counted_and_tries_that_fail() -> None:
    sink = Sink()
    seen, event = ObservedSink(sink), Event("1", EventKind.ADDED, "2", "", datetime.now(UTC), {})
    before = sample("guard_feed_events_total", sink="kafka")
    await seen.publish([event, event])
    assert sample("guard_feed_events_total", sink="kafka") == before + 2
    sink.error = SinkUnavailable()
    failures = sample("guard_feed_failures_total", sink="kafka")
    with pytest.raises(SinkUnavailable):
        await seen.publish([event])
    assert sample("guard_feed_failures_total", sink="kafka") == failures + 1
    await seen.close()
    assert sink.is_closed


def test_a_fallback_is_counted_and_is_no_verdict() -> None:
    before = sample("guard_checks_total", lane="interactive", assessment="unavailable")
    scored = sample("guard_threshold_margin_count")
    with watch_call("Moderate", ()):
        answered(CHECK, outcome(Assessment.UNAVAILABLE, None))
    after = sample("guard_checks_total", lane="interactive", assessment="unavailable")
    assert after == before + 1
    assert sample("guard_threshold_margin_count") == scored


@pytest.mark.parametrize(("code", "name"), [(70, "70"), (-9, "SIGKILL"), (-1000, "unknown")])
async def test_an_engine_passes_everything_on_and_its_end_is_counted(code: int, name: str) -> None:
    scripted = ScriptedEngine()

    async def start() -> ScriptedEngine:
        return scripted

    async def wait_dead() -> int:
        return code

    engine = await observed(start, 100)()
    passes = sample("guard_pass_prompts_count")
    read = await engine.read(Batch((Piece.whole(1, prompt(666)),)))
    assert read.readings == (UNSAFE,)
    assert sample("guard_pass_prompts_count") == passes + 1
    assert await engine.ping(1.0) == 1024
    assert sample("guard_engine_memory_bytes", device=engine.loaded.device) == 1024
    scripted.wait_dead = wait_dead
    deaths = sample("guard_engine_deaths_total", device=engine.loaded.device, exit=name)
    assert await engine.wait_dead() == code
    after = sample("guard_engine_deaths_total", device=engine.loaded.device, exit=name)
    assert after == deaths + 1
