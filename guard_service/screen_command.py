"""`guard screen`: files of conversations in, a folder of judged rows out."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console

from guard_service.config import read_settings
from guard_service.errors import ScreeningRefused, ScreeningStopped
from guard_service.judging import Opened, judging_here, judging_on_cluster, judging_there
from guard_service.screening.chunk import LineReader
from guard_service.screening.engines import Engines
from guard_service.screening.manifest import Terms
from guard_service.screening.mapping import mapping_digest, read_mapping
from guard_service.screening.output import Output, format_of
from guard_service.screening.progress import Tally, shown
from guard_service.screening.referral import read_share
from guard_service.screening.report import write_report
from guard_service.screening.run import Bench, Watch
from guard_service.screening.shape import find_shape
from guard_service.screening.source import STDIN, Reader, Source, find_sources
from guard_service.screening.subject import Subject
from guard_service.stop import stop_signal

if TYPE_CHECKING:
    from guard_service.screening.cluster import Cluster

EXIT_STOPPED = 130

_DEFAULT_SUBJECTS = (Subject.LAST_USER, Subject.REPLY)
_SHOWN_LINES, _SHOWN_FILES = 100, 20

out = Console(soft_wrap=True, stderr=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for on the command line."""

    sources: Sequence[Source]
    folder: Path
    reader: LineReader
    mapping_digest: str
    review: str
    tenant: str
    rerun: bool


def screen(
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders, globs, URLs; '-' reads JSON lines.")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of Parquet; of JSON lines if *.jsonl.")
    ],
    judge: Annotated[
        list[Subject] | None, typer.Option(help="Repeated. Default: last-user and reply.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML or JSON file that says where things are in a line.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="HOST:PORT of running servers; default: judge here.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Cluster: HOST:PORT, auto, or local to start one here.")
    ] = None,
    engines: Annotated[
        int | None, typer.Option(min=1, help="With --ray; default: as many as there is room for.")
    ] = None,
    cpus_per_engine: Annotated[float, typer.Option(min=0, help="With --ray.")] = 1.0,
    gpus_per_engine: Annotated[
        float | None, typer.Option(min=0, help="With --ray, 0.5 too; default: 1 if there are any.")
    ] = None,
    policy: Annotated[str | None, typer.Option(help="Policy id.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint folder.")] = None,
    devices: Annotated[str | None, typer.Option(help="auto, cpu, or cuda:N,...")] = None,
    policies: Annotated[Path | None, typer.Option(help="Folder of policy files.")] = None,
    patience_s: Annotated[
        float, typer.Option(min=0, help="How long to wait for a server or an engine that is away.")
    ] = 600.0,
    review: Annotated[
        str | None, typer.Option(help="Put rows before reviewers: policy, or a share as 0.01.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="With --review: whose the items are.")] = "",
    database_url: Annotated[str | None, typer.Option(help="Of the review queue.")] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Drop what OUT has; begin anew.")] = False,
) -> None:
    """Judge every line of the inputs, once. The same command goes on where it was stopped."""
    sources, shape = find_sources(inputs), read_mapping(mapping) if mapping else None
    reader = LineReader(frozenset(judge or _DEFAULT_SUBJECTS), shape)
    plan = Plan(sources, folder, reader, mapping_digest(mapping), review or "", tenant, rerun)
    _check_together(plan, server, ray, database_url)
    settings = read_settings(
        model=model,
        devices=devices,
        policies=policies,
        default_policy=policy,
        database_url=database_url if review else "sqlite://",
    )
    if server:
        opened: Opened = judging_there(server, policy or "", patience_s)
    elif ray:
        each = Engines(engines, cpus_per_engine, gpus_per_engine)
        opened = judging_on_cluster(settings, ray, each, patience_s)
    else:
        opened = judging_here(settings, patience_s, plan.review, plan.tenant)
    _run(plan, opened)


def _run(plan: Plan, opened: Opened) -> None:
    _show_shapes(plan)
    try:
        tally = asyncio.run(_screen(plan, opened))
    except ScreeningStopped as stopped:
        out.print(f"guard: {stopped}", style="yellow")
        raise typer.Exit(EXIT_STOPPED) from None
    write_report(plan.folder)
    _show_result(plan, tally)


async def _screen(plan: Plan, opened: Opened) -> Tally:
    stopping = stop_signal()
    async with opened as bench:
        with (
            Output(plan.folder, _terms(plan, bench), rerun=plan.rerun) as output,
            shown(out, _num_bytes(plan.sources)) as progress,
        ):
            watch = Watch(progress.on_published, progress.on_judged)
            await bench.screening(plan.reader, output, watch, stopping).run(plan.sources)
            output.finish()
            return progress.tally


def _terms(plan: Plan, bench: "Bench | Cluster") -> Terms:
    judged = bench.judged
    return Terms(
        inputs=tuple(source.name for source in plan.sources),
        judge=tuple(sorted(subject.value for subject in plan.reader.subjects)),
        mapping=plan.mapping_digest,
        policy=judged.policy,
        policy_version=judged.policy_version,
        policy_digest=judged.policy_digest,
        list_above=bench.list_above,
        codes=judged.codes,
        model=judged.model,
        model_digest=judged.model_digest,
        format=format_of(plan.folder),
        threshold=bench.threshold,
        thresholds=bench.thresholds,
        review=plan.review,
        tenant=plan.tenant,
    )


def _check_together(
    plan: Plan, server: str | None, ray: str | None, database_url: str | None
) -> None:
    if server and ray:
        raise ScreeningRefused("--server and --ray: one of them judges")
    if plan.review and server:
        raise ScreeningRefused("review: a server's own policy feeds its queue already")
    if plan.review and ray:
        raise ScreeningRefused("review: a run with --ray feeds no queue; --server does")
    for name, given in (("database_url", database_url), ("tenant", plan.tenant)):
        if given and not plan.review:
            raise ScreeningRefused(f"{name}: is of the review queue, which --review feeds")
    if plan.review:
        read_share(plan.review)


def _num_bytes(sources: Sequence[Source]) -> int | None:
    sizes = [source.num_bytes for source in sources]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _show_shapes(plan: Plan) -> None:
    """What the first lines are taken for, before anything is judged."""
    subjects = ", ".join(sorted(subject.value for subject in plan.reader.subjects))
    out.print(f"{len(plan.sources)} files; judged: {subjects}")
    for source in [source for source in plan.sources if source.name != STDIN][:_SHOWN_FILES]:
        found = Counter(
            _shape_name(plan, line.data) for line in islice(Reader(source), _SHOWN_LINES)
        )
        told = ", ".join(f"{name} ({num})" for name, num in found.most_common())
        out.print(f"  {source.name}: {told or 'empty'}", markup=False)


def _shape_name(plan: Plan, data: bytes) -> str:
    if plan.reader.shape:
        return plan.reader.shape.name
    try:
        shape = find_shape(orjson.loads(data))
    except (ValueError, AttributeError):
        return "not JSON objects"
    return shape.name if shape else "of no known shape"


def _show_result(plan: Plan, tally: Tally) -> None:
    out.print(
        f"{tally.num_lines} lines: {tally.num_rows} messages judged, {tally.num_unsafe} unsafe "
        f"({tally.unsafe_share:.2%}), {tally.num_gaps} not judged"
    )
    out.print(f"rows in {plan.folder}; what was not judged, and why: _screening/rejects.jsonl")
    out.print(f"report: {plan.folder / '_screening' / 'report.html'}", markup=False)
