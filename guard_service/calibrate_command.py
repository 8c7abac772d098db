"""`guard review calibrate`: thresholds from what people decided."""

import asyncio
import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from guard_service.calibration.answer import Gathered, gather, weigh
from guard_service.calibration.calibration import Row, calibrate
from guard_service.calibration.estimate import Estimate
from guard_service.calibration.plot import plot
from guard_service.calibration.proposal import diff, propose, write_new
from guard_service.config import Settings, read_settings
from guard_service.policy import Policy, read_policy
from guard_service.review.audit import Act, note_act
from guard_service.review.store import open_store

out = Console(soft_wrap=True)
say = Console(stderr=True, soft_wrap=True)


def calibrate_policy(
    policy: Annotated[Path, typer.Option(help="TOML file of the policy in force.")],
    precision: Annotated[
        float, typer.Option(min=0.01, max=0.999, help="That proposed thresholds surely have.")
    ] = 0.9,
    to: Annotated[Path | None, typer.Option(help="New file: the proposed policy.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder: an SVG of each curve.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Default: the items of all.")] = None,
    database_url: Annotated[str | None, typer.Option()] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every threshold's figures.")] = False,
) -> None:
    """Precision and recall from resolved items, and a policy with the thresholds they speak for."""
    asked = read_policy(policy)
    settings = read_settings(database_url=database_url)
    gathered, rows = asyncio.run(_calibrate(settings, asked, precision, tenant))
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows]))
    else:
        out.print(_table(rows))
    _sum_up(gathered)
    old = policy.read_text(encoding="utf-8")
    new = propose(old, rows)
    say.print(diff(policy, old, new) or "no threshold is proposed", markup=False, highlight=False)
    if plots:
        _draw(plots, rows)
    if to and new != old:
        write_new(to, new)
        read_policy(to)


async def _calibrate(
    settings: Settings, policy: Policy, precision: float, tenant: str | None
) -> tuple[Gathered, tuple[Row, ...]]:
    """That it was done, and what came of it, is in the audit log."""
    url, keys_url = settings.database_url, settings.review_keys_url
    async with open_store(url, keys_url=keys_url) as store:
        gathered = await gather(store.database, policy, tenant)
        rows = calibrate(weigh(gathered), policy, precision)
        told = {
            "policy": policy.id,
            "version": policy.version,
            "digest": policy.digest,
            "precision": precision,
            "of_tenant": tenant,
            "num_resolved": len(gathered.resolved),
            "proposed": {row.what: row.proposed for row in rows if row.proposed is not None},
        }
        by = getpass.getuser()
        await note_act(store.database, Act.CALIBRATED, by, lambda: told, lambda done: done)
    return gathered, rows


def _table(rows: tuple[Row, ...]) -> Table:
    shown = Table("", "found", "true", "precision", "recall", "threshold", "proposed")
    for row in rows:
        if row.now.num_found or row.now.num_true:
            shown.add_row(
                row.what,
                str(row.now.num_found),
                str(row.now.num_true),
                _shown(row.now.precision),
                _shown(row.now.recall),
                "-" if row.threshold is None else f"{row.threshold:.2f}",
                "-" if row.proposed is None else f"{row.proposed:.2f}",
            )
    return shown


def _shown(each: Estimate) -> str:
    if each.value is None:
        return "unknown"
    return f"{each.value:.3f} ({each.low:.3f} to {each.high:.3f})"


def _sum_up(gathered: Gathered) -> None:
    num_items = sum(gathered.num_by_cell.values())
    say.print(f"{len(gathered.resolved)} of {num_items} items are resolved")
    if gathered.num_unanswered:
        say.print(f"{gathered.num_unanswered} items are like none of these and count for nothing")
    for problem, num in gathered.left_out.most_common(10):
        say.print(f"{num} more are left out: {problem}")


def _draw(folder: Path, rows: tuple[Row, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / f"{row.what}.svg").write_text(plot(row), encoding="utf-8")
