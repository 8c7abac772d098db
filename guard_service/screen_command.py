"""`guard screen`: files of conversations in, a folder of judged rows out."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from guard_service.app import open_guard
from guard_service.client import AsyncGuardClient, Policy, ServerInfo
from guard_service.client.environment import shown as shown_to_server
from guard_service.config import Settings, read_settings
from guard_service.conversation import Limits
from guard_service.errors import ScreeningRefused, ScreeningStopped, Unavailable
from guard_service.screening.chunk import LineReader, cut
from guard_service.screening.judge import Judge, LocalJudge, NoReview
from guard_service.screening.manifest import Terms
from guard_service.screening.mapping import mapping_digest, read_mapping
from guard_service.screening.output import Output, format_of
from guard_service.screening.progress import Tally, shown
from guard_service.screening.remote import Expected, RemoteJudge
from guard_service.screening.report import write_report
from guard_service.screening.row import Judged
from guard_service.screening.run import Screening, Watch
from guard_service.screening.shape import find_shape
from guard_service.screening.source import STDIN, Reader, Source, find_sources
from guard_service.screening.subject import Subject
from guard_service.stop import stop_signal

EXIT_STOPPED = 130

_DEFAULT_SUBJECTS = (Subject.LAST_USER, Subject.REPLY)
_SHOWN_LINES, _SHOWN_FILES = 100, 20
_DIGEST_POLLS = 240

out = Console(soft_wrap=True, stderr=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for on the command line."""

    sources: Sequence[Source]
    folder: Path
    reader: LineReader
    mapping_digest: str
    rerun: bool


@dataclass(frozen=True, slots=True)
class Bench:
    """A judge, and the terms on which it judges."""

    judge: Judge
    judged: Judged
    list_above: float
    threshold: float
    thresholds: tuple[float | None, ...]  # as the codes of `judged`


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
    policy: Annotated[str | None, typer.Option(help="Policy id.")] = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint folder.")] = None,
    devices: Annotated[str | None, typer.Option(help="auto, cpu, or cuda:N,...")] = None,
    policies: Annotated[Path | None, typer.Option(help="Folder of policy files.")] = None,
    patience_s: Annotated[
        float, typer.Option(min=0, help="How long to wait for a server that is away.")
    ] = 600.0,
    rerun: Annotated[bool, typer.Option("--rerun", help="Drop what OUT has; begin anew.")] = False,
) -> None:
    """Judge every line of the inputs, once. The same command goes on where it was stopped."""
    sources, shape = find_sources(inputs), read_mapping(mapping) if mapping else None
    reader = LineReader(frozenset(judge or _DEFAULT_SUBJECTS), shape)
    plan = Plan(sources, folder, reader, mapping_digest(mapping), rerun)
    _show_shapes(plan)
    settings = read_settings(
        model=model,
        devices=devices,
        policies=policies,
        default_policy=policy,
        database_url="sqlite://",
    )
    opened = _there(server, policy or "", patience_s) if server else _here(settings)
    try:
        tally = asyncio.run(_screen(plan, opened))
    except ScreeningStopped as stopped:
        out.print(f"guard: {stopped}", style="yellow")
        raise typer.Exit(EXIT_STOPPED) from None
    write_report(plan.folder)
    _show_result(plan, tally)


async def _screen(plan: Plan, opened: AbstractAsyncContextManager[Bench]) -> Tally:
    stopping = stop_signal()
    async with opened as bench:
        with (
            Output(plan.folder, _terms(plan, bench), rerun=plan.rerun) as output,
            shown(out, _num_bytes(plan.sources)) as progress,
        ):
            watch = Watch(progress.on_published, progress.on_judged)
            screening = Screening(plan.reader, bench.judge, output, watch, stopping)
            await screening.run(cut(plan.sources))
            output.finish()
            return progress.tally


@asynccontextmanager
async def _here(settings: Settings) -> AsyncIterator[Bench]:
    """The path in this process, with an engine of its own."""
    async with open_guard(settings) as guard:
        await guard.engine.start()
        policy = guard.pipeline.policies[settings.default_policy]
        judged = Judged(
            policy.id,
            policy.version,
            policy.digest,
            guard.pipeline.model,
            await guard.digest,
            tuple(category.code for category in policy.categories),
        )
        pipeline = replace(guard.pipeline, feed=NoReview())
        judge = LocalJudge(pipeline, policy.id, settings.max_batch_requests)
        thresholds = tuple(policy.rules[code].threshold for code in judged.codes)
        yield Bench(judge, judged, policy.list_above, policy.threshold, thresholds)


@asynccontextmanager
async def _there(server: str, policy_id: str, patience_s: float) -> AsyncIterator[Bench]:
    """A running server, asked as any client asks it."""
    async with AsyncGuardClient(server, timeout=60, **shown_to_server()) as client:
        await client.wait_until_ready(patience_s)
        info, policy = await _info(client), await _policy(client, policy_id)
        judged = Judged(
            policy.id,
            policy.version,
            policy.digest,
            info.model,
            info.model_digest,
            tuple(category.code for category in policy.categories),
        )
        limits = Limits(info.limits.max_messages, info.limits.max_conversation_bytes)
        expected = Expected(policy.id, policy.version, info.model)
        judge = RemoteJudge(client, expected, limits, patience_s)
        thresholds = tuple(category.threshold for category in policy.categories)
        yield Bench(judge, judged, min(0.5, policy.threshold), policy.threshold, thresholds)


async def _info(client: AsyncGuardClient) -> ServerInfo:
    """What the server is, once it has read its model's files."""
    for _ in range(_DIGEST_POLLS):
        if (info := await client.server_info()).model_digest:
            return info
        await asyncio.sleep(0.5)
    raise Unavailable("the server does not say which model it has")


async def _policy(client: AsyncGuardClient, policy_id: str) -> Policy:
    for policy in await client.list_policies():
        if policy.id == policy_id or (not policy_id and policy.is_default):
            return policy
    raise ScreeningRefused(f"policy: the server has no policy {policy_id}")


def _terms(plan: Plan, bench: Bench) -> Terms:
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
    )


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
