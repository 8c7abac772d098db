"""The commands. Each reads settings, calls one room and prints; nothing is decided here."""

import asyncio
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from guard_service import app as service
from guard_service import show
from guard_service.access.command import keys_commands
from guard_service.access.exposure import PRIVATE
from guard_service.audit_command import audit_commands
from guard_service.benchmark.command import bench
from guard_service.calibrate_command import calibrate_policy
from guard_service.client import AsyncGuardClient, Moderation
from guard_service.client import GuardError as CallFailed
from guard_service.client.environment import shown
from guard_service.config import Settings, read_settings
from guard_service.diff_command import screen_diff
from guard_service.doctor import Level, examine
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.errors import GuardError, InvalidRequest, Violation
from guard_service.evaluation.command import evaluate_files
from guard_service.exchange_command import export_items, import_answers
from guard_service.policy_command import policy_commands
from guard_service.replay_command import replay, shadow
from guard_service.report_command import screen_report
from guard_service.rescreen_command import rescreen
from guard_service.review_command import review_commands
from guard_service.screen_command import screen
from guard_service.screening.messages import read_conversation
from guard_service.sight.logs import start_logging
from guard_service.startup import load_policies
from guard_service.top import top
from guard_service.web.command import ConsoleAt, ConsoleOn, console_commands, console_flags
from guard_service.weights.checkpoint import find_checkpoint, find_window, models_folder
from guard_service.weights.download import pull as download
from guard_service.weights.integrity import write_digests

EXIT_BLOCK = 3

commands = typer.Typer(
    help="Moderation with Llama Guard 3.", no_args_is_help=True, pretty_exceptions_enable=False
)
review_commands.command()(replay)
review_commands.command()(shadow)
review_commands.command("calibrate")(calibrate_policy)
review_commands.command("export")(export_items)
review_commands.command("import")(import_answers)
for _group in (policy_commands, review_commands, audit_commands, keys_commands, console_commands):
    commands.add_typer(_group)
commands.command()(bench)
commands.command()(screen)
commands.command()(rescreen)
commands.command()(screen_report)
commands.command()(screen_diff)
commands.command()(top)
commands.command("eval")(evaluate_files)

out = Console(soft_wrap=True)

Model = Annotated[
    str | None, typer.Option(help="Checkpoint folder; default: the embedded guard-tiny.")
]
Devices = Annotated[str | None, typer.Option(help="auto, cpu, cuda, or cuda:0,cuda:1,...")]
Policies = Annotated[Path | None, typer.Option(help="Folder of policy files (*.toml).")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def main() -> None:
    """Run a command; an error of ours is one line and exit status 1, not a traceback."""
    try:
        commands()
    except (GuardError, CallFailed) as error:
        sys.exit(f"guard: {error}")


@commands.command()
def serve(
    console_at: ConsoleAt = None,
    console: ConsoleOn = False,
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option()] = None,
    model: Model = None,
    devices: Devices = None,
    policies: Policies = None,
    default_policy: Annotated[str | None, typer.Option()] = None,
    shadow_policy: Annotated[
        Path | None, typer.Option("--shadow", help="Candidate policy: its flips are told.")
    ] = None,
    database_url: Annotated[str | None, typer.Option()] = None,
    access_file: Annotated[Path | None, typer.Option(help="API keys: see guard keys.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM, with its chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option()] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Ask nobody who they are, on any host.")
    ] = None,
    metrics_port: Annotated[str | None, typer.Option(help="9464; 0: any free one; off.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.")] = None,
) -> None:
    """Serve over gRPC until SIGTERM."""
    read = partial(read_settings, **console_flags(locals()))
    settings = read()
    start_logging(settings.log_level, settings.log_format)
    asyncio.run(service.serve(settings, read))


@commands.command()
def check(
    text: Annotated[str, typer.Argument(help="The user's message; '-' reads it from stdin.")],
    response: Annotated[
        str | None, typer.Option(help="The assistant's reply: then that is judged.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="HOST:PORT of a running server; default: start one.")
    ] = None,
    policy: Annotated[str, typer.Option(help="Policy id.")] = "",
    model: Model = None,
    devices: Devices = None,
    policies: Policies = None,
    as_json: AsJson = False,
) -> None:
    """Judge one message. Exit status 0: allow, 3: block."""
    messages = [{"role": "user", "content": sys.stdin.read() if text == "-" else text}]
    if response is not None:
        messages.append({"role": "assistant", "content": response})
    settings = _private(model=model, devices=devices, policies=policies)
    moderation = asyncio.run(_check(settings, server, messages, policy))
    if as_json:
        out.print_json(json.dumps(asdict(moderation), default=show.plain))
    else:
        show.moderation(out, moderation)
    raise typer.Exit(EXIT_BLOCK if moderation.is_blocked else 0)


@commands.command()
def prompt(
    file: Annotated[Path, typer.Argument(help='Lines of {"id", "messages"}.')],
    model: Model = None,
    policies: Policies = None,
    policy: Annotated[str | None, typer.Option(help="Policy id.")] = None,
) -> None:
    """Print exactly what the model would read: a line {"id", "prompt", "ids"} for each window."""
    folder = Path(model) if model else models_folder() / "guard-tiny"
    tokenizer = GuardTokenizer.from_folder(folder, find_window(folder))
    settings = read_settings(policies=policies, default_policy=policy)
    chosen = load_policies(settings)[settings.default_policy]
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            windows, _ = tokenizer.prompts(read_conversation(row["messages"]), chosen)
        except (ValueError, TypeError, KeyError):
            problem = 'not a line of {"id", "messages"}'
            raise InvalidRequest((Violation(f"{file}:{number}", problem),)) from None
        for window in windows:
            ids = [*window.prefix.ids, *window.ids]
            print(json.dumps({"id": row.get("id"), "prompt": tokenizer.decode(ids), "ids": ids}))


@commands.command()
def pull(
    name: Annotated[str, typer.Argument(help="llama-guard-3-8b, ...-int8, or a repository.")],
    to: Annotated[Path | None, typer.Option(help="Folder; default: ./NAME.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
) -> None:
    """Download a model from Hugging Face and check it. The token is read from HF_TOKEN."""
    checkpoint = download(name, to or Path(name.split("/")[-1]), revision=revision)
    out.print(
        f"{checkpoint.name} is in {checkpoint.folder}: guard serve --model {checkpoint.folder}"
    )


@commands.command()
def doctor(
    model: Model = None,
    devices: Devices = None,
    policies: Policies = None,
    write_hashes: Annotated[
        bool, typer.Option("--write-hashes", help="First take the model's files as the right ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what would stop this machine from serving a model. Exit status 1 if something would."""
    settings = read_settings(model=model, devices=devices, policies=policies)
    if write_hashes:
        write_digests(find_checkpoint(settings.model).folder)
    findings = examine(settings)
    if as_json:
        out.print_json(json.dumps([asdict(finding) for finding in findings], default=show.plain))
    else:
        show.findings(out, findings)
    raise typer.Exit(any(finding.level is Level.FAIL for finding in findings))


def _private(**flags: Any) -> Settings:
    """Settings of a server that lives for one command: any port, nothing kept."""
    flags |= {"host": "127.0.0.1", "port": 0, "metrics_port": "off", "database_url": "sqlite://"}
    settings = read_settings(lame_duck_s=0.0, drain_s=0.0, **flags)
    return settings.model_copy(update=PRIVATE)


async def _check(
    settings: Settings, server: str | None, messages: list[dict[str, str]], policy: str
) -> Moderation:
    if server is not None:
        return await _ask(server, messages, policy, **shown())
    async with service.open_server(settings) as listening:
        await listening.engine.start()
        return await _ask(f"127.0.0.1:{listening.port}", messages, policy)


async def _ask(
    target: str, messages: list[dict[str, str]], policy: str, **connection: Any
) -> Moderation:
    async with AsyncGuardClient(target, timeout=60, **connection) as client:
        return await client.moderate(messages, policy=policy)
