"""Hands the caller's trace on to the server, where OpenTelemetry is installed."""

from typing import Any

try:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:
    _propagator: Any = None
else:
    # W3C's two headers alone: baggage is meant for others, and may be larger than we take.
    _propagator = TraceContextTextMapPropagator()


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """What a call carries so that the server's spans are below the caller's."""
    carrier: dict[str, str] = {}
    if _propagator is not None:
        _propagator.inject(carrier)
    return tuple(carrier.items())
