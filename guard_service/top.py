"""`guard top`: what a running server does now, from its metrics and nothing else."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Annotated
from urllib.request import urlopen

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from guard_service.errors import Unavailable

_TIMEOUT_S = 5.0
_STAGES = ("receive", "tokenize", "queue", "engine", "decide", "store")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scrape:
    """All samples at one moment."""

    at_s: float
    samples: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series that have these labels."""
        wanted = set(labels.items())
        series = self.samples.get(name, {})
        return sum(value for key, value in series.items() if wanted <= set(key))

    def values(self, name: str, label: str) -> list[str]:
        """What the label's values are."""
        return sorted({dict(key)[label] for key in self.samples.get(name, {})})


@dataclass(frozen=True, slots=True)
class Span:
    """What happened between two scrapes."""

    before: Scrape
    after: Scrape

    def count(self, name: str, **labels: str) -> float:
        return self.after.total(name, **labels) - self.before.total(name, **labels)

    def rate(self, name: str, **labels: str) -> float:
        return self.count(name, **labels) / max(self.after.at_s - self.before.at_s, 1e-3)

    def mean(self, name: str, **labels: str) -> float | None:
        num = self.count(f"{name}_count", **labels)
        return self.count(f"{name}_sum", **labels) / num if num else None

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """As histogram_quantile has it: even within a bucket, the last limit beyond it."""
        limits = sorted(self.after.values(f"{name}_bucket", "le"), key=float)
        counts = [self.count(f"{name}_bucket", le=limit, **labels) for limit in limits]
        if not counts or not counts[-1]:
            return None
        wanted, low, below = share * counts[-1], 0.0, 0.0
        for limit, num in zip(limits, counts, strict=True):
            if num >= wanted and limit != "+Inf":
                return low + (float(limit) - low) * (wanted - below) / max(num - below, 1e-9)
            low, below = (float(limit), num) if limit != "+Inf" else (low, below)
        return low


def top(
    url: Annotated[
        str, typer.Argument(help="Where the server shows its metrics.")
    ] = "http://127.0.0.1:9464",
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="One frame, averaged since start.")] = False,
) -> None:
    """Show a running server live: rates, latency, queue, verdicts, engines."""
    out = Console()
    last = scrape(url)
    frame = _frame(url, Span(_beginning(last), last))
    if once:
        out.print(frame)
        return
    with (
        suppress(KeyboardInterrupt),
        Live(frame, console=out, screen=True, auto_refresh=False) as live,
    ):
        while True:
            time.sleep(interval)
            try:
                now = scrape(url)
            except Unavailable as error:  # it may be starting again: that is worth watching
                live.update(Text(str(error)), refresh=True)
                continue
            live.update(_frame(url, Span(last, now)), refresh=True)
            last = now


def scrape(url: str) -> Scrape:
    """Everything that the server shows now; Unavailable if it shows nothing."""
    try:
        with urlopen(f"{url.rstrip('/')}/metrics", timeout=_TIMEOUT_S) as answer:
            text = answer.read().decode()
    except (OSError, ValueError, HTTPException):
        raise Unavailable(f"no metrics at {url}: is guard serve running there?") from None
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sample.labels.items())] = sample.value
    return Scrape(time.time(), samples)


def _beginning(scrape: Scrape) -> Scrape:
    """The moment when that server started, at which all was zero."""
    return Scrape(scrape.total("process_start_time_seconds"))


def _frame(url: str, span: Span) -> RenderableType:
    now = span.after
    is_ready = bool(now.total("guard_ready"))
    state = Text("SERVING" if is_ready else "NOT SERVING", "bold green" if is_ready else "bold red")
    engines, calls = now.total("guard_engines_serving"), now.total("guard_calls_open")
    rest = f"  {url}  {engines:.0f} engines  {calls:.0f} calls open"
    tables = (_rates(span), _latency(span), _queue(span), _verdicts(span), _engines(span))
    return Group(state.append(rest, "default"), Columns(tables))


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def _rates(span: Span) -> Table:
    table = _table("Rates", "", "per s")
    for lane in span.after.values("guard_checks_total", "lane"):
        table.add_row(f"checks, {lane}", f"{span.rate('guard_checks_total', lane=lane):.1f}")
    table.add_row("prompt tokens", f"{span.rate('guard_tokens_total', kind='prompt'):.0f}")
    for reason in span.after.values("guard_refusals_total", "reason"):
        if span.after.total("guard_refusals_total", reason=reason):
            rate = span.rate("guard_refusals_total", reason=reason)
            table.add_row(f"[red]{reason}[/]", f"{rate:.1f}")
    return table


def _latency(span: Span) -> Table:
    table = _table("Latency, interactive, ms", "", "p50", "p90", "p99")
    rows = {stage: ("guard_stage_seconds", {"stage": stage}) for stage in _STAGES}
    rows["whole check"] = ("guard_check_seconds", {})
    for title, (name, labels) in rows.items():
        shares = (0.5, 0.9, 0.99)
        found = [span.quantile(name, share, lane="interactive", **labels) for share in shares]
        table.add_row(title, *(_figure(value, 1000) for value in found))
    return table


def _queue(span: Span) -> Table:
    table = _table("Queue and passes", "", "prompts", "tokens")
    for lane in span.after.values("guard_queue_prompts", "lane"):
        waiting = (f"guard_queue_{what}" for what in ("prompts", "tokens"))
        table.add_row(lane, *(f"{span.after.total(name, lane=lane):.0f}" for name in waiting))
    fill = span.mean("guard_pass_fill_ratio")
    table.add_row("mean pass", _figure(span.mean("guard_pass_prompts")), f"{_figure(fill, 100)} %")
    table.add_row("passes a second", f"{span.rate('guard_pass_seconds_count'):.1f}", "")
    return table


def _verdicts(span: Span) -> Table:
    table = _table("Verdicts", "", "so far", "per s")
    rows = {word: ("guard_verdicts_total", {"verdict": word}) for word in ("safe", "unsafe")}
    rows["blocked"] = ("guard_verdicts_total", {"action": "block"})
    codes = span.after.values("guard_flagged_total", "category")
    for code in sorted(codes, key=lambda code: int(code[1:])):
        rows[code] = ("guard_flagged_total", {"category": code})
    for title, (name, labels) in rows.items():
        so_far, rate = span.after.total(name, **labels), span.rate(name, **labels)
        table.add_row(title, f"{so_far:.0f}", f"{rate:.1f}")
    table.add_row("wait for people", f"{span.after.total('guard_review_backlog'):.0f}", "")
    return table


def _engines(span: Span) -> Table:
    table = _table("Engines", "", "")
    now = span.after
    for device in now.values("guard_engine_starts_total", "device"):
        gib = now.total("guard_engine_memory_bytes", device=device) / 2**30
        starts = now.total("guard_engine_starts_total", device=device)
        table.add_row(device, f"{starts:.0f} starts, {gib:.2f} GiB")
    for name in now.values("guard_engine_deaths_total", "exit"):
        deaths = now.total("guard_engine_deaths_total", exit=name)
        table.add_row(f"[red]died, {name}[/]", f"{deaths:.0f}")
    lag = span.quantile("guard_event_loop_lag_seconds", 0.99)
    table.add_row("event loop lag, p99", f"{_figure(lag, 1000)} ms")
    return table


def _figure(value: float | None, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:.1f}"
