"""A report on a terminal."""

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from guard_service.benchmark.report import Report

_THROUGHPUT = (
    *("workload", "asked", "failed", "req/s", "prompt\ntok/s", "new\ntok/s"),
    *("req/\npass", "tok/\npass", "unsafe", "MFU", "cost per\nM tokens"),
)
_LATENCY = ("workload", "load", "offered/s", "answered/s", "failed", "p50", "p90", "p99", "max ms")
_AGREEMENT = ("number type", "workload", "prompts", "flips", "outside band", "max", "mean")


def show(out: Console, report: Report) -> None:
    out.print(f"{report.model} ({report.dtype}, {report.device}) {report.target}")
    out.print(f"{report.machine}; {report.version}; {report.measured_at}")
    facts = [
        _fact("loaded in", report.load_s, 1, "s"),
        _fact("peak RAM", report.peak_ram_bytes, 1e9, "GB"),
        _fact("peak GPU memory", report.peak_gpu_bytes, 1e9, "GB"),
        _fact("matrix product", report.matmul_flops_per_s, 1e12, "TFLOP/s"),
    ]
    out.print("; ".join(fact for fact in facts if fact))
    _print(out, "Saturated", _THROUGHPUT, _throughput_rows(report))
    if report.latency:
        _print(out, "Poisson load", _LATENCY, _latency_rows(report))
    if report.agreement:
        _print(out, f"Against {report.dtype}", _AGREEMENT, _agreement_rows(report))


def _throughput_rows(report: Report) -> Iterable[Sequence[str]]:
    for one in report.throughput:
        yield (
            *(one.workload, str(one.num_requests), str(one.num_failed)),
            *(f"{one.requests_per_s:.1f}", f"{one.prompt_tokens_per_s:,.0f}"),
            *(f"{one.new_tokens_per_s:,.0f}", f"{one.requests_per_pass:.1f}"),
            *(f"{one.tokens_per_pass:,.0f}", f"{one.unsafe_share:.0%}"),
            "-" if one.mfu is None else f"{one.mfu:.0%}",
            "-" if one.cost_per_million_tokens is None else f"{one.cost_per_million_tokens:.4f}",
        )


def _latency_rows(report: Report) -> Iterable[Sequence[str]]:
    for one in report.latency:
        times = (one.p50_ms, one.p90_ms, one.p99_ms, one.max_ms)
        yield (
            *(one.workload, f"{one.share:.0%}", f"{one.offered_per_s:.1f}"),
            *(f"{one.answered_per_s:.1f}", str(one.num_failed), *(f"{t:.0f}" for t in times)),
        )


def _agreement_rows(report: Report) -> Iterable[Sequence[str]]:
    for one in report.agreement:
        yield (
            *(one.dtype, one.workload, str(one.num_prompts), str(one.num_flips)),
            str(one.num_flips_outside_band),
            *(f"{one.max_difference:.4f}", f"{one.mean_difference:.5f}"),
        )


def _print(
    out: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _fact(name: str, value: float | None, unit: float, suffix: str) -> str:
    return "" if value is None else f"{name} {value / unit:.2f} {suffix}"
