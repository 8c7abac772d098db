"""`guard audit`: checks the log of who did what, and prints what shows that none of it is gone."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, TypeVar

import typer

from guard_service.config import read_settings
from guard_service.review.audit import entries_after, head_of, link_entries, num_unlinked
from guard_service.review.chain import START, read_head
from guard_service.review.database import Database
from guard_service.review.verification import verify as verify_chain

T = TypeVar("T")

audit_commands = typer.Typer(
    name="audit", help="Who decided, read and resolved what.", no_args_is_help=True
)

DatabaseUrl = Annotated[str | None, typer.Option(help="Default: the one that guard serve takes.")]

_PAGE = 1000


@audit_commands.command()
def verify(
    since: Annotated[
        str, typer.Option("--from", help="A head up to which it was verified; default: all of it.")
    ] = str(START),
    known: Annotated[
        str | None, typer.Option("--head", help="A head from elsewhere, which must be in it.")
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Check every link; prints the head, or names the first broken entry with exit status 1."""
    start, end = read_head(since, "--from"), known and read_head(known, "--head")

    async def check(database: Database) -> None:
        head = await verify_chain(database, start, end or None)
        waiting = await database.read(num_unlinked)
        typer.echo(f"{head}\t{head.position - start.position} verified\t{waiting} not linked yet")

    _run(database_url, check)


@audit_commands.command()
def head(database_url: DatabaseUrl = None) -> None:
    """Print the head, to be kept or signed elsewhere; nothing is verified."""

    async def tell(database: Database) -> None:
        while await database.run(link_entries):
            pass
        typer.echo(str(await database.read(head_of)))

    _run(database_url, tell)


@audit_commands.command("list")
def list_entries(
    after: Annotated[int, typer.Option(min=0, help="Only those after this position.")] = 0,
    database_url: DatabaseUrl = None,
) -> None:
    """Print the entries in their order, one JSON object a line."""

    async def tell(database: Database) -> None:
        position = after
        while entries := await database.read(
            partial(entries_after, position=position, limit=_PAGE)
        ):
            for entry in entries:
                typer.echo(json.dumps(asdict(entry)))
            position += len(entries)

    _run(database_url, tell)


def _run(database_url: str | None, work: Callable[[Database], Awaitable[T]]) -> T:
    async def act() -> T:
        database = Database(read_settings(database_url=database_url).database_url)
        try:
            return await work(database)
        finally:
            await database.stop()

    return asyncio.run(act())
