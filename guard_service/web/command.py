"""`guard console user`: makes the accounts of people, in the database of the review items."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

import typer

from guard_service.config import read_settings
from guard_service.errors import InvalidRequest, SettingsInvalid, Violation
from guard_service.review.account import Account, Accounts, Role
from guard_service.review.database import Database
from guard_service.web.password import hash_password

_USUAL = "127.0.0.1:8050"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+|-]{0,63}")  # addresses and subjects of providers too

console_commands = typer.Typer(name="console", help="The reviewer console.", no_args_is_help=True)
user_commands = typer.Typer(help="Who may log in.", no_args_is_help=True)
console_commands.add_typer(user_commands, name="user")

Name = Annotated[str, typer.Argument(help="Letters, digits, '._-@+|'; stands in what is said.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="Default: the one that guard serve takes.")]

# Typer's options have a value or not: `--console` has none, and its address is an argument.
ConsoleOn = Annotated[bool, typer.Option("--console", help="Serve the reviewers' pages.")]
ConsoleAt = Annotated[
    str | None, typer.Argument(metavar="[HOST:PORT]", help=f"Of --console; {_USUAL} if not given.")
]


def console_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of `guard serve`, with what its two of the console say together."""
    is_on, at = flags["console"], flags["console_at"]
    if at and not is_on:
        raise SettingsInvalid(f"{at}: an address goes with --console")
    others = {name: value for name, value in flags.items() if name != "console_at"}
    return others | {"console": (at or _USUAL) if is_on else None}


@user_commands.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may do.")] = Role.REVIEWER,
    tenant: Annotated[str | None, typer.Option(help="Whose items. Default: those of all.")] = None,
    cleared: Annotated[
        bool, typer.Option("--cleared", help="For the categories of console_restricted too.")
    ] = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="They log in at console_oidc_issuer alone.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Add a person. The password is asked for, or read from stdin."""
    _check(name)
    kept = "" if no_password else hash_password(_password())
    account = Account(name, role, kept, tenant, cleared)
    _run(database_url, lambda accounts: accounts.add(account))


@user_commands.command()
def password(name: Name, database_url: DatabaseUrl = None) -> None:
    """Set another password, and end the sessions."""
    kept = hash_password(_password())
    _run(database_url, lambda a: a.change(name, password=kept, is_disabled=None))


@user_commands.command()
def disable(
    name: Name,
    enable: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Let nobody in under this name, from the next page on."""
    _run(database_url, lambda a: a.change(name, password=None, is_disabled=not enable))


@user_commands.command("list")
def list_users(database_url: DatabaseUrl = None) -> None:
    """Who there is: name, role, tenant, and what is special."""

    async def show(accounts: Accounts) -> None:
        for each in await accounts.all():
            special = [word for word, holds in _special(each) if holds]
            typer.echo("\t".join([each.name, each.role.value, each.tenant or "*", *special]))

    _run(database_url, show)


def _special(account: Account) -> tuple[tuple[str, bool], ...]:
    return ("cleared", account.is_cleared), ("disabled", account.is_disabled)


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        problem = "letters, digits, '.', '_', '-', '@', '+' and '|', at most 64"
        raise InvalidRequest((Violation("name", problem),))


def _run(database_url: str | None, work: Callable[[Accounts], Awaitable[None]]) -> None:
    async def act() -> None:
        database = Database(read_settings(database_url=database_url).database_url)
        await database.start()
        try:
            await work(Accounts(database))
        finally:
            await database.stop()

    asyncio.run(act())
