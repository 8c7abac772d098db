"""`guard bench`: what this machine, or a running service, does with a model."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guard_service.benchmark import table
from guard_service.benchmark.measure import Plan, measure
from guard_service.benchmark.plot import latency_plot
from guard_service.benchmark.workload import WORKLOADS
from guard_service.config import read_settings
from guard_service.errors import SettingsInvalid

_NAMES = ", ".join(WORKLOADS)


def bench(
    workload: Annotated[list[str] | None, typer.Option(help=f"{_NAMES}; may be repeated.")] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Labelled rows (JSON lines) as one more workload.")
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="Of each workload.")] = 256,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once, at saturation.")] = 128,
    load_share: Annotated[
        list[float] | None,
        typer.Option(help="Poisson load as a share of saturation; repeated. 0: none."),
    ] = None,
    duration_s: Annotated[float, typer.Option(min=0.1, help="Of each Poisson load.")] = 10.0,
    target: Annotated[
        str | None, typer.Option(help="HOST:PORT of a running service; default: in process.")
    ] = None,
    agreement: Annotated[
        list[str] | None, typer.Option(help="Number type to compare readings with; repeated.")
    ] = None,
    price_per_hour: Annotated[float | None, typer.Option(help="Of this machine.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint folder.")] = None,
    devices: Annotated[
        str | None, typer.Option(help="auto, cpu, or cuda:N, comma-separated.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Number type of the weights.")] = None,
    seed: int = 0,
    to_json: Annotated[Path | None, typer.Option("--json", help="Write all figures.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write latency over load as SVG.")] = None,
) -> None:
    """Measure throughput, latency under Poisson load, MFU, memory and cost."""
    if unknown := set(workload or ()) - set(WORKLOADS):
        raise SettingsInvalid(f"workload: {sorted(unknown)[0]} is none of {_NAMES}")
    shares = tuple(share for share in load_share or (0.5, 0.8, 0.95) if share > 0)
    plan = Plan(
        workloads=tuple(workload or (() if rows else ("W100",))),
        rows=rows,
        num_requests=requests,
        num_in_flight=in_flight,
        shares=shares,
        duration_s=duration_s,
        address=target,
        agreement=tuple(agreement or ()),
        price_per_hour=price_per_hour,
        seed=seed,
    )
    settings = read_settings(model=model, devices=devices, dtype=dtype, database_url="sqlite://")
    report = asyncio.run(measure(plan, settings))
    table.show(Console(soft_wrap=True), report)
    if to_json:
        to_json.write_text(json.dumps(asdict(report), indent=2) + "\n")
    if plot and report.latency:
        plot.write_text(latency_plot(report.latency))
