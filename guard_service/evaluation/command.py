"""`guard eval`: rows whose truth is known, judged and measured."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from guard_service.config import read_settings
from guard_service.errors import SettingsInvalid
from guard_service.evaluation import table
from guard_service.evaluation.evaluation import Bootstrap
from guard_service.evaluation.expected import Agreement, read_expected
from guard_service.evaluation.gate import read_bounds
from guard_service.evaluation.plan import Done, Plan, carry_out
from guard_service.evaluation.readings import save_readings
from guard_service.evaluation.report import Report, plain, write_report

EXIT_NOT_KEPT = 4


Files = Annotated[
    list[Path], typer.Argument(help="Labelled rows: JSON lines, JSON, CSV, Parquet; also .gz.")
]
Model = Annotated[
    str | None, typer.Option(help="Checkpoint folder; default: the embedded guard-tiny.")
]
Devices = Annotated[str | None, typer.Option(help="auto, cpu, or cuda:N,...")]
Policies = Annotated[Path | None, typer.Option(help="Folder of policy files (*.toml).")]
PolicyId = Annotated[str, typer.Option(help="Policy id.")]
Saved = Annotated[Path | None, typer.Option(help="Saved readings instead of a model.", exists=True)]
Save = Annotated[
    Path | None, typer.Option("--save-readings", help="To .parquet or .jsonl, without text.")
]
Against = Annotated[
    str, typer.Option(help="Compare with saved readings, another policy or another model.")
]
Expect = Annotated[
    str | None, typer.Option(help="Published figures to agree with: llama-guard-3-8b.")
]
Folder = Annotated[
    Path | None, typer.Option("--out", help="Folder for report.html and metrics.json.")
]
Floors = Annotated[
    list[str] | None, typer.Option(help="f1=0.75, or of a group user.f1=0.75; repeated.")
]
Ceilings = Annotated[list[str] | None, typer.Option(help="fpr=0.1, rejected=0; likewise.")]
Worse = Annotated[
    bool, typer.Option("--fail-if-worse", help="Than --against, by more than chance.")
]
Resamples = Annotated[int, typer.Option(min=0, help="Of the bootstrap; 0: no intervals.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the bootstrap.")]
AsJson = Annotated[bool, typer.Option("--json", help="The tables, for machines.")]


def evaluate_files(
    files: Files,
    model: Model = None,
    devices: Devices = None,
    policies: Policies = None,
    policy: PolicyId = "",
    readings: Saved = None,
    save: Save = None,
    against: Against = "",
    expect: Expect = None,
    folder: Folder = None,
    fail_under: Floors = None,
    fail_over: Ceilings = None,
    fail_if_worse: Worse = False,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """F1, AUPRC and FPR per file, role, category and language, for rows whose truth is known.

    Exit status 4: a bound, or an expectation, was not kept.
    """
    if fail_if_worse and not against:
        raise SettingsInvalid("fail-if-worse: needs --against")
    plan = Plan(
        files=files,
        policy=policy,
        readings=readings,
        against=against,
        expected=read_expected(expect) if expect else None,
        bounds=read_bounds(fail_under or (), fail_over or ()),
        bootstrap=Bootstrap(resamples, seed),
    )
    settings = read_settings(
        model=model, devices=devices, policies=policies, database_url="sqlite://"
    )
    with _progress() as on_read:
        done = asyncio.run(carry_out(replace(plan, on_read=on_read), settings))
    if save:
        save_readings(save, done.readings)
    if folder:
        write_report(folder, done.report, done.judged)
    _show(done, as_json=as_json)
    raise typer.Exit(0 if _is_kept(done.report, fail_if_worse=fail_if_worse) else EXIT_NOT_KEPT)


def _is_kept(report: Report, *, fail_if_worse: bool) -> bool:
    is_worse = fail_if_worse and report.comparison is not None and report.comparison.is_worse
    differs = any(one.agreement is Agreement.DIFFERS for one in report.expected)
    return not (report.broken or is_worse or differs)


def _show(done: Done, *, as_json: bool) -> None:
    out = Console(soft_wrap=True)
    if as_json:
        parts = {name: asdict(part) for name, part in done.report.files.items()}
        out.print_json(json.dumps(parts, default=plain))
    else:
        table.show(out, done.report)


@contextmanager
def _progress() -> Iterator[Callable[[int], object]]:
    """On a terminal, how far the model is and when it will be through."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("judging", total=None)

        def on_read(total: int) -> None:
            progress.update(task, total=total, advance=1)

        yield on_read
