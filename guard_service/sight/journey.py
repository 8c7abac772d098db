"""One call, or one item of a stream, on its way: its stages as histogram, spans and log line.

Stages follow one another, so each begins where the one before ended. What runs outside a call (an
evaluation, the known prompts) has no journey and is not counted.
"""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from guard_service.batching.entry import Lane
from guard_service.sight import metrics, spans

log = logging.getLogger(__name__)

STAGES = ("receive", "tokenize", "queue", "engine", "decide", "store")

_STAGE_SECONDS = {
    (stage, lane): metrics.STAGE_SECONDS.labels(stage, lane.value)
    for stage in STAGES
    for lane in Lane
}
_CHECK_SECONDS = {lane: metrics.CHECK_SECONDS.labels(lane.value) for lane in Lane}
# An id that can hold no words: a UUID, a number in hexadecimal.
_PLAIN_ID = re.compile(r"[0-9A-Fa-f-]{1,64}")


@dataclass(slots=True)
class Journey:
    name: str
    lane: Lane
    trace_id: str = ""
    span: Any = None
    request_id: str = ""
    code: str = "OK"
    reason: str = ""
    started_s: float = field(default_factory=time.perf_counter)
    started_ns: int = field(default_factory=time.time_ns)  # the same moment, for spans
    since_s: float = 0.0  # when the stage under way began
    has_stored: bool = False
    counts: dict[str, str | int] = field(default_factory=dict)  # for its span and log line

    def __post_init__(self) -> None:
        self.since_s = self.started_s

    def end_stage(self, stage: str, end_s: float | None = None) -> None:
        """The stage under way was this one, and ended then: now, if nothing is said."""
        end_s = max(time.perf_counter() if end_s is None else end_s, self.since_s)
        _STAGE_SECONDS[stage, self.lane].observe(end_s - self.since_s)
        if (tracer := spans.tracer()) and self.span and self.span.is_recording():
            child = tracer.begin_child(stage, self.span, self._unix_ns(self.since_s))
            child.end(self._unix_ns(end_s))
        self.since_s = end_s

    def arrive(self) -> None:
        """The check is answered, with a verdict or a declared fallback."""
        if not self.has_stored:
            self.end_stage("decide")
        _CHECK_SECONDS[self.lane].observe(time.perf_counter() - self.started_s)

    def end(self) -> None:
        outcome = {"code": self.code, "reason": self.reason} | self.counts
        if tracer := self.span and spans.tracer():
            self.span.set_attributes({f"guard.{key}": value for key, value in outcome.items()})
            if self.reason:
                tracer.fail(self.span, self.reason)
            self.span.end(self._unix_ns(time.perf_counter()))
        if log.isEnabledFor(logging.DEBUG):
            ms = round((time.perf_counter() - self.started_s) * 1000, 1)
            told = {key: value for key, value in outcome.items() if value != ""}
            log.debug("answered", extra={"action": "answered", "call": self.name, "ms": ms, **told})

    def _unix_ns(self, clock_s: float) -> int:
        return self.started_ns + int((clock_s - self.started_s) * 1e9)


_current: ContextVar[Journey | None] = ContextVar("journey", default=None)


def current() -> Journey | None:
    return _current.get()


@contextmanager
def watch_call(name: str, headers: Iterable[tuple[str, Any]] | None) -> Iterator[Journey]:
    """Watch one gRPC call, whose metadata may name its caller's trace."""
    metadata = dict(headers or ())
    journey = Journey(name, Lane.INTERACTIVE, spans.trace_id(metadata))
    if tracer := spans.tracer():
        journey.span = tracer.begin_call(name, metadata, journey.started_ns)
        journey.trace_id = f"{journey.span.get_span_context().trace_id:032x}"
    is_open = metrics.CALLS_OPEN.labels(name)
    is_open.inc()
    try:
        with _under_way(journey):
            yield journey
    finally:
        is_open.dec()
        metrics.CALLS.labels(name, journey.code).inc()


@contextmanager
def watch_item() -> Iterator[Journey]:
    """Watch one item of the stream that is under way."""
    stream = _current.get() or Journey("ModerateBatch", Lane.BULK)
    journey = Journey(f"{stream.name}.item", Lane.BULK, stream.trace_id)
    if (tracer := spans.tracer()) and stream.span:
        journey.span = tracer.begin_child(journey.name, stream.span, journey.started_ns)
    with _under_way(journey):
        yield journey


@contextmanager
def _under_way(journey: Journey) -> Iterator[None]:
    token = _current.set(journey)
    try:
        yield
    except asyncio.CancelledError:
        journey.code = "CANCELLED"
        raise
    finally:
        journey.end()
        _current.reset(token)


def refused(code: str, reason: str) -> None:
    """An error is on its way to the caller."""
    metrics.REFUSALS.labels(reason).inc()
    if journey := _current.get():
        journey.code, journey.reason = code, reason


def loggable_id(request_id: str) -> str:
    """As it is where it can hold no words; else its digest, since callers write what they like."""
    if _PLAIN_ID.fullmatch(request_id) or not request_id:
        return request_id
    return f"sha256:{hashlib.sha256(request_id.encode()).hexdigest()[:16]}"
