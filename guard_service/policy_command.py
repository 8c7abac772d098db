"""`guard policy`: promotes a policy version, and rolls it back."""

import getpass
from pathlib import Path
from typing import Annotated

import typer

from guard_service.config import read_settings
from guard_service.errors import SettingsInvalid
from guard_service.promotion import Change, promote, read_journal, roll_back

policy_commands = typer.Typer(name="policy", help="Versions of policies.", no_args_is_help=True)

Policies = Annotated[Path | None, typer.Option(help="Folder of policy files (*.toml).")]


@policy_commands.command("promote")
def promote_file(
    file: Annotated[Path, typer.Argument(help="TOML file with a version of its own.")],
    policies: Policies = None,
) -> None:
    """Put a policy in force; servers take it at their next SIGHUP."""
    _tell(promote(_folder(policies), file, getpass.getuser()))


@policy_commands.command()
def rollback(
    policy: Annotated[str, typer.Argument(metavar="ID")],
    to: Annotated[str, typer.Option(help="Version; default: the one before.")] = "",
    policies: Policies = None,
) -> None:
    """Put an earlier version in force again, byte for byte."""
    _tell(roll_back(_folder(policies), policy, getpass.getuser(), to))


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


def _tell(change: Change) -> None:
    typer.echo(_shown(change))


def _shown(change: Change) -> str:
    versions = f"{change.before or 'none'} -> {change.after}"
    return f"{change.policy} {change.act} {versions} ({change.digest[:12]})"
