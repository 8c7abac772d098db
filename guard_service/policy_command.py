"""`guard policy`: promotes a policy version, and rolls it back; the audit log has who did."""

import asyncio
import getpass
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from guard_service.config import read_settings
from guard_service.errors import SettingsInvalid
from guard_service.promotion import Change, promote, read_journal, roll_back
from guard_service.review.audit import Act, note_act
from guard_service.review.store import open_store

policy_commands = typer.Typer(name="policy", help="Versions of policies.", no_args_is_help=True)

Policies = Annotated[Path | None, typer.Option(help="Folder of policy files (*.toml).")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="Of the audit log. Default: the one that guard serve takes.")
]


@policy_commands.command("promote")
def promote_file(
    file: Annotated[Path, typer.Argument(help="TOML file with a version of its own.")],
    policies: Policies = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Put a policy in force; servers take it at their next SIGHUP."""
    exchange = partial(promote, _folder(policies), file, getpass.getuser())
    _note(Act.PROMOTED, exchange, database_url)


@policy_commands.command()
def rollback(
    policy: Annotated[str, typer.Argument(metavar="ID")],
    to: Annotated[str, typer.Option(help="Version; default: the one before.")] = "",
    policies: Policies = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Put an earlier version in force again, byte for byte."""
    exchange = partial(roll_back, _folder(policies), policy, getpass.getuser(), to)
    _note(Act.ROLLED_BACK, exchange, database_url)


@policy_commands.command()
def history(policies: Policies = None) -> None:
    """Who exchanged what, and when."""
    for change in read_journal(_folder(policies)):
        typer.echo(f"{change.at} {change.by}: {_shown(change)}")


def _folder(policies: Path | None) -> Path:
    folder = read_settings(policies=policies).policies
    if folder is None:
        raise SettingsInvalid("policies: name a folder of your own, the embedded one stays")
    return folder


def _note(act: Act, exchange: Callable[[], Change], database_url: str | None) -> None:
    """Nothing is exchanged where the audit log cannot be written."""
    settings = read_settings(database_url=database_url)

    async def exchanged() -> Change:
        async with open_store(settings.database_url, keys_url=settings.review_keys_url) as store:
            return await note_act(store.database, act, getpass.getuser(), exchange, _told)

    typer.echo(_shown(asyncio.run(exchanged())))


def _told(change: Change) -> dict[str, object]:
    return {
        "policy": change.policy,
        "before": change.before,
        "after": change.after,
        "digest": change.digest,
    }


def _shown(change: Change) -> str:
    versions = f"{change.before or 'none'} -> {change.after}"
    return f"{change.policy} {change.act} {versions} ({change.digest[:12]})"
