"""A call's stages: how long they took, what spans they leave."""

import asyncio
import logging
import time

import pytest
from sight.spans_sent import kept_spans

from guard_service.batching.entry import Lane
from guard_service.sight.journey import STAGES, current, refused, watch_call, watch_item
from guard_service.sight.metrics import REGISTRY

CALLER = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_stages_add_up_to_the_whole_and_nothing_is_counted_twice() -> None:
    sums = [sample("guard_stage_seconds_sum", stage=s, lane="interactive") for s in STAGES]
    whole = sample("guard_check_seconds_sum", lane="interactive")
    with watch_call("Moderate", ()) as journey:
        time.sleep(0.002)
        journey.end_stage("receive")
        journey.end_stage("tokenize")
        journey.end_stage("queue", time.perf_counter() - 1)  # an end before its beginning
        journey.end_stage("engine")
        journey.arrive()
    after = [sample("guard_stage_seconds_sum", stage=s, lane="interactive") for s in STAGES]
    whole = sample("guard_check_seconds_sum", lane="interactive") - whole
    assert sum(after) - sum(sums) == pytest.approx(whole, abs=0.001)
    assert all(a >= b for a, b in zip(after, sums, strict=True))


def test_a_call_is_open_until_it_ends_and_is_counted_by_its_code() -> None:
    ended = sample("guard_calls_total", method="Moderate", code="RESOURCE_EXHAUSTED")
    with watch_call("Moderate", ()):
        assert sample("guard_calls_open", method="Moderate") == 1
        refused("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert sample("guard_calls_open", method="Moderate") == 0
    assert sample("guard_calls_total", method="Moderate", code="RESOURCE_EXHAUSTED") == ended + 1


def test_a_call_that_its_caller_left_is_cancelled() -> None:
    ended = sample("guard_calls_total", method="Moderate", code="CANCELLED")
    with pytest.raises(asyncio.CancelledError), watch_call("Moderate", ()):
        raise asyncio.CancelledError
    assert sample("guard_calls_total", method="Moderate", code="CANCELLED") == ended + 1
    assert current() is None


def test_the_spans_of_a_call_are_below_the_callers_and_one_for_each_stage() -> None:
    with kept_spans() as spans, watch_call("Moderate", CALLER.items()) as journey:
        for stage in STAGES:
            journey.end_stage(stage)
    *stages, call = spans.get_finished_spans()
    assert call.parent and f"{call.parent.span_id:016x}" == "b" * 16
    assert [span.name for span in stages] == list(STAGES)
    assert {f"{span.context.trace_id:032x}" for span in (call, *stages)} == {"a" * 32}
    assert all(span.parent.span_id == call.context.span_id for span in stages)
    assert call.start_time <= stages[0].start_time <= stages[-1].end_time <= call.end_time


def test_each_item_of_a_stream_has_a_span_of_its_own_in_the_streams_trace() -> None:
    with kept_spans() as spans, watch_call("ModerateBatch", CALLER.items()), watch_item() as item:
        item.end_stage("receive")
    assert item.lane is Lane.BULK
    stage, of_item, stream = spans.get_finished_spans()
    assert (stage.name, of_item.name, stream.name) == ("receive", item.name, "ModerateBatch")
    assert of_item.parent.span_id == stream.context.span_id
    assert item.trace_id == "a" * 32


def test_an_error_is_on_the_span_by_its_reason() -> None:
    with kept_spans() as spans, watch_call("Moderate", ()):
        refused("INVALID_ARGUMENT", "POLICY_UNKNOWN")
    (call,) = spans.get_finished_spans()
    assert not call.status.is_ok
    assert call.status.description == "POLICY_UNKNOWN"
    assert call.attributes["guard.code"] == "INVALID_ARGUMENT"


def test_a_caller_that_is_not_sampled_gets_no_spans() -> None:
    metadata = {"traceparent": CALLER["traceparent"][:-2] + "00"}
    with kept_spans() as spans, watch_call("Moderate", metadata.items()) as journey:
        journey.end_stage("receive")
    assert not spans.get_finished_spans()


def test_one_line_tells_of_a_call_at_level_debug(caplog: pytest.LogCaptureFixture) -> None:
    with watch_call("Moderate", ()):
        pass
    caplog.set_level(logging.DEBUG, "guard_service")
    with watch_call("Moderate", ()):
        refused("INVALID_ARGUMENT", "POLICY_UNKNOWN")
    (line,) = caplog.records
    assert (line.action, line.call, line.reason) == ("answered", "Moderate", "POLICY_UNKNOWN")
