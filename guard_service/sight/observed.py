"""Stands at the pipeline's and the engine's seams, passes everything on, and counts.

Each class has the methods of what it wraps (PromptReader, ReviewFeed, Sink, Engine).
"""

import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from guard_service.batching.entry import Answer, Caller, Lane
from guard_service.engine.message import Batch, BatchRead, Engine
from guard_service.pipeline import Assessment, Check, Outcome, PromptReader, ReviewFeed
from guard_service.prompt import Prompt
from guard_service.review.event import Event
from guard_service.review.item import ReviewItem
from guard_service.review.relay import Sink
from guard_service.sight import metrics
from guard_service.sight.journey import current, loggable_id
from guard_service.verdict import Verdict

for _lane in Lane:  # there from the start, for the alerts
    for _assessment in Assessment:
        metrics.CHECKS.labels(_lane.value, _assessment.value)


@dataclass(frozen=True, slots=True)
class ObservedReader:
    reader: PromptReader

    async def read(self, prompts: Sequence[Prompt], caller: Caller) -> list[Answer]:
        journey = current()
        if journey is None:
            return await self.reader.read(prompts, caller)
        journey.end_stage("tokenize")
        answers = await self.reader.read(prompts, caller)
        engine_s = max((answer.inference_ms for answer in answers), default=0.0) / 1000
        now_s = time.perf_counter()
        journey.end_stage("queue", now_s - engine_s)
        journey.end_stage("engine", now_s)
        return answers


@dataclass(frozen=True, slots=True)
class ObservedFeed:
    feed: ReviewFeed

    async def add(self, item: ReviewItem) -> str:
        if journey := current():
            journey.end_stage("decide")
        item_id = await self.feed.add(item)
        metrics.REVIEW_ITEMS.labels(item.reason.value).inc()
        if journey:
            journey.end_stage("store")
            journey.has_stored = True
        return item_id


class ObservedSink:
    def __init__(self, sink: Sink) -> None:
        self.name = sink.name
        self.sink = sink
        self._failures = metrics.FEED_FAILURES.labels(sink.name)
        self._events = metrics.FEED_EVENTS.labels(sink.name)

    async def publish(self, events: Sequence[Event]) -> None:
        try:
            await self.sink.publish(events)
        except BaseException:  # the relay's patience, too
            self._failures.inc()
            raise
        self._events.inc(len(events))

    async def close(self) -> None:
        await self.sink.close()


class ObservedEngine:
    def __init__(self, engine: Engine, max_batch_tokens: int) -> None:
        self.loaded = engine.loaded
        self.engine = engine
        self.max_batch_tokens = max_batch_tokens

    @property
    def pid(self) -> int:
        return self.engine.pid

    async def read(self, batch: Batch) -> BatchRead:
        read = await self.engine.read(batch)
        num_tokens = sum(len(piece.ids) for piece in batch.pieces)
        metrics.PASS_SECONDS.observe(read.inference_ms / 1000)
        metrics.PASS_PROMPTS.observe(len(batch.pieces))
        metrics.PASS_FILL.observe(num_tokens / self.max_batch_tokens)
        return read

    async def ping(self, limit_s: float) -> int:
        num_bytes = await self.engine.ping(limit_s)
        metrics.ENGINE_MEMORY.labels(self.loaded.device).set(num_bytes)
        return num_bytes

    async def wait_dead(self) -> int:
        code = await self.engine.wait_dead()
        metrics.ENGINE_DEATHS.labels(self.loaded.device, _exit_name(code)).inc()
        metrics.ENGINE_MEMORY.labels(self.loaded.device).set(0)
        return code

    def kill(self) -> None:
        self.engine.kill()

    async def stop(self) -> None:
        await self.engine.stop()


def observed(
    start: Callable[[], Awaitable[Engine]], max_batch_tokens: int
) -> Callable[[], Awaitable[Engine]]:
    """The same start, of an engine that is watched."""

    async def start_observed() -> Engine:
        engine = ObservedEngine(await start(), max_batch_tokens)
        metrics.ENGINE_STARTS.labels(engine.loaded.device).inc()
        return engine

    return start_observed


def received(request_id: str) -> None:
    """A request is parsed and let in."""
    if journey := current():
        journey.request_id = loggable_id(request_id)
        journey.end_stage("receive")


def answered(check: Check, outcome: Outcome) -> None:
    """Count what a check was answered with."""
    if (journey := current()) is None:
        return
    journey.arrive()
    metrics.CHECKS.labels(journey.lane.value, outcome.assessment.value).inc()
    metrics.TOKENS.labels("prompt").inc(outcome.usage.prompt_tokens)
    metrics.TOKENS.labels("cached").inc(outcome.usage.cached_tokens)
    journey.counts = {
        "assessment": outcome.assessment.value,
        "decision": outcome.decision.action.value,
        "policy": f"{outcome.policy.id}@{outcome.policy.version}",
        "prompt_tokens": outcome.usage.prompt_tokens,
        "batch_size": outcome.timings.batch_size,
    }
    if outcome.verdict:
        _count_verdict(check, outcome, outcome.verdict)


def _count_verdict(check: Check, outcome: Outcome, verdict: Verdict) -> None:
    policy = metrics.policy_labels(outcome.policy.id, outcome.policy.version)
    word = "unsafe" if verdict.is_unsafe else "safe"
    metrics.VERDICTS.labels(*policy, word, outcome.decision.action.value).inc()
    for score in verdict.flagged:
        metrics.FLAGGED.labels(*policy, score.category.code).inc()
    metrics.UNSAFE_SCORE.labels(check.conversation.judged.role.value).observe(verdict.unsafe_score)
    metrics.MARGIN.observe(verdict.unsafe_score - outcome.policy.threshold)


def _exit_name(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else str(code)
    except ValueError:
        return "unknown"
