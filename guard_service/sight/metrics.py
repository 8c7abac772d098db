"""Every metric by its public name; docs/operations.md lists them.

Labels take their values from closed lists, and policies are capped, so the series stay few.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# A second series for each counter, which nobody here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

# From a refusal to a CPU's full queue.
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SCORES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_MARGINS = (-0.5, -0.3, -0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.3, 0.5)
_MAX_POLICIES = 64  # id and version; what comes after these is counted as `other`


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"guard_{name}", meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(f"guard_{name}", meaning, labels, registry=REGISTRY)


def _histogram(
    name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
) -> Histogram:
    return Histogram(f"guard_{name}", meaning, labels, registry=REGISTRY, buckets=buckets)


CALLS = _counter("calls", "gRPC calls that ended.", "method", "code")
CALLS_OPEN = _gauge("calls_open", "gRPC calls under way.", "method")
CHECKS = _counter("checks", "Checks that were answered.", "lane", "assessment")
CHECK_SECONDS = _histogram("check_seconds", "From the request's bytes to its answer.", "lane")
STAGE_SECONDS = _histogram("stage_seconds", "Time of a check in each stage.", "stage", "lane")
REFUSALS = _counter("refusals", "Calls and stream items that got an error.", "reason")

VERDICTS = _counter("verdicts", "Verdicts.", "policy", "policy_version", "verdict", "action")
FLAGGED = _counter("flagged", "Hazard categories flagged.", "policy", "policy_version", "category")
UNSAFE_SCORE = _histogram("unsafe_score", "Scores by the judged role.", "role", buckets=_SCORES)
MARGIN = _histogram("threshold_margin", "Score less the policy's threshold.", buckets=_MARGINS)
REVIEW_ITEMS = _counter("review_items", "Decisions that people will look at.", "reason")
REVIEW_BACKLOG = _gauge("review_backlog", "Review items that wait for people.")
FEED_EVENTS = _counter("feed_events", "Events that a sink acknowledged.", "sink")
FEED_FAILURES = _counter("feed_failures", "Tries to publish that failed.", "sink")
FEED_BEHIND = _gauge("feed_behind", "Events that a sink has not acknowledged.", "sink")
SHADOW_DECISIONS = _counter("shadow_decisions", "What the shadow policy decided too.", "outcome")
SHADOW_FLIPS = _counter("shadow_flips", "Actions that it would change.", "category", "action")
SHADOW_LOST = _counter("shadow_flips_lost", "Flips that were counted and not kept.")

TOKENS = _counter("tokens", "Prompt tokens of answered checks; cached: of shared prefixes.", "kind")
PASS_SECONDS = _histogram("pass_seconds", "Time of one pass in the engine.")
PASS_PROMPTS = _histogram(
    "pass_prompts", "Prompts or pieces in one pass.", buckets=(1, 2, 4, 8, 16, 32, 64, 128)
)
PASS_FILL = _histogram(
    "pass_fill_ratio",
    "Tokens of one pass by max_batch_tokens; over 1: a bulk pass.",
    buckets=(0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2),
)
QUEUE_PROMPTS = _gauge("queue_prompts", "Prompts that wait for an engine.", "lane")
QUEUE_TOKENS = _gauge("queue_tokens", "Their tokens.", "lane")

READY = _gauge("ready", "1 while calls are answered with verdicts.")
ENGINES = _gauge("engines_serving", "Engines that serve.")
ENGINE_STARTS = _counter("engine_starts", "Engines that loaded.", "device")
ENGINE_DEATHS = _counter("engine_deaths", "Engines that ended by exit or signal.", "device", "exit")
ENGINE_MEMORY = _gauge("engine_memory_bytes", "Memory that an engine holds.", "device")
EVENTS = _counter("events", "Log lines by their action word.", "action")
LOOP_LAG = _histogram("event_loop_lag_seconds", "How late the event loop runs what is due.")

# A series that begins with its first event shows no increase: those of the alerts are there before.
for _action in (
    "engine_died",
    "engine_hung",
    "engine_check_failed",
    "engine_rows_wrong",
    "prompt_quarantined",
):
    EVENTS.labels(_action)

_policies: set[tuple[str, str]] = set()


def policy_labels(policy: str, version: str) -> tuple[str, str]:
    """The values of `policy` and `policy_version`; versions come and go with every reload."""
    if len(_policies) < _MAX_POLICIES:
        _policies.add((policy, version))
    return (policy, version) if (policy, version) in _policies else ("other", "other")
