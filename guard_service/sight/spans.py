"""Spans by OpenTelemetry: sent where OTEL_EXPORTER_OTLP_ENDPOINT says, none without it.

OpenTelemetry's own variables hold (sampler, headers, resource). Spans carry names, codes, counts
and our ids: never text, and never an error's own words.
"""

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from guard_service import __version__

log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_FLUSH_S = 2.0  # at the end: a collector that does not answer must not hold a restart up


class Tracer:
    """Begins spans. Imports OpenTelemetry here, as it may not be installed."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation import tracecontext

        self._trace = trace
        self._tracer = provider.get_tracer("guard_service", __version__)
        self._propagator = tracecontext.TraceContextTextMapPropagator()

    def begin_call(self, name: str, metadata: Mapping[str, Any], start_ns: int) -> Any:
        """The span of a call, below the caller's own if its metadata names one."""
        context = self._propagator.extract(metadata)
        kind = self._trace.SpanKind.SERVER
        return self._tracer.start_span(name, context, kind, start_time=start_ns)

    def begin_child(self, name: str, parent: Any, start_ns: int) -> Any:
        context = self._trace.set_span_in_context(parent)
        return self._tracer.start_span(name, context, start_time=start_ns)

    def fail(self, span: Any, reason: str) -> None:
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, reason))


_tracer: Tracer | None = None


def tracer() -> Tracer | None:
    """The process's tracer; None where traces are not sent."""
    return _tracer


def trace_id(metadata: Mapping[str, Any]) -> str:
    """The trace that the caller names, or nothing."""
    found = _TRACEPARENT.fullmatch(str(metadata.get("traceparent", "")))
    return found[1] if found else ""


@contextmanager
def sending(provider: Any) -> Iterator[None]:
    """Make spans with this provider meanwhile."""
    global _tracer
    _tracer = Tracer(provider)
    try:
        yield
    finally:
        _tracer = None
        ending = threading.Thread(target=provider.shutdown, name="spans-end", daemon=True)
        ending.start()
        ending.join(_FLUSH_S)


@contextmanager
def tracing() -> Iterator[None]:
    """Send spans meanwhile, if the environment names a place and the extra is installed."""
    if not any(map(os.environ.get, _ENDPOINTS)):
        yield
    elif not (find_spec("opentelemetry") and find_spec("opentelemetry.sdk")):
        needs = "pip install 'guard-service[telemetry]'"
        log.warning("no traces are sent", extra={"action": "tracing_off", "needs": needs})
        yield
    else:
        with sending(_provider()):
            yield


def _provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "guard-service")
    resource = Resource.create({"service.name": name, "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
