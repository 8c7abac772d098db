"""When traces are sent, and what happens where they cannot be."""

import logging
import sys
import time

import pytest

from guard_service.sight.spans import sending, tracer, tracing


def test_without_a_place_to_send_them_there_are_no_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with tracing():
        assert tracer() is None


def test_without_the_extra_the_service_runs_and_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("guard_service.sight.spans.find_spec", lambda _: None)
    caplog.set_level(logging.WARNING)
    with tracing():
        assert tracer() is None
    (line,) = caplog.records
    assert line.action == "tracing_off"
    assert "guard-service[telemetry]" in line.needs


def test_a_place_that_does_not_answer_does_not_hold_up_the_end() -> None:
    class Blackhole:
        def get_tracer(self, *_: str) -> None:
            return None

        def shutdown(self) -> None:
            time.sleep(20)

    started = time.monotonic()
    with sending(Blackhole()):
        assert tracer() is not None
    assert time.monotonic() - started < 5
    assert tracer() is None


def test_nothing_of_the_service_imports_opentelemetry_before_it_is_asked_to() -> None:
    import subprocess

    code = "import guard_service.cli, sys; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
