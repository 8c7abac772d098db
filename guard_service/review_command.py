"""`guard review`: lists what waits for people, and works it from a terminal."""

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from guard_service import show
from guard_service.client import GuardClient, Outcome, ReviewClient
from guard_service.client.environment import shown
from guard_service.config import Settings, read_settings
from guard_service.errors import InvalidRequest, Violation
from guard_service.review.place import set_back
from guard_service.review.store import ReviewStore, open_store

T = TypeVar("T")

review_commands = typer.Typer(name="review", help="What waits for people.", no_args_is_help=True)

out = Console(soft_wrap=True)

Server = Annotated[str, typer.Option(help="HOST:PORT of the running server.")]
As = Annotated[
    str | None,
    typer.Option("--as", help="Who you are, where the server asks nobody. Default: your login."),
]
ItemId = Annotated[str, typer.Argument(help="The item's id.")]
Token = Annotated[int, typer.Argument(help="What the claim printed.")]
Codes = Annotated[list[str] | None, typer.Option("--category", help="S1 to S99; repeated.")]
LeaseS = Annotated[int, typer.Option(min=0, max=3600, help="Seconds; 0: the server's own.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]

_LOCAL = "127.0.0.1:50051"


@review_commands.command("list")
def list_items(
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    server: Annotated[
        str | None, typer.Option(help="HOST:PORT of a running server; default: the database.")
    ] = None,
    database_url: Annotated[str | None, typer.Option()] = None,
    as_json: AsJson = False,
) -> None:
    """List review items, newest first."""
    settings = read_settings(database_url=database_url)
    items = _review_items(settings, server, limit)
    if as_json:
        _print_json([asdict(item) for item in items])
    else:
        show.review_items(out, items)


@review_commands.command()
def claim(
    server: Server = _LOCAL,
    reviewer: As = None,
    category: Codes = None,
    language: Annotated[list[str] | None, typer.Option(help="Of the label; repeated.")] = None,
    lease_s: LeaseS = 0,
    show_text: Annotated[
        bool, typer.Option("--show-text", help="Print the conversation, where it is kept.")
    ] = False,
) -> None:
    """Take the item that most needs you, as JSON; exit status 4 where nothing waits for you."""
    with _client(server, reviewer) as client:
        claim = client.claim(categories=category or (), languages=language or (), lease_s=lease_s)
    if claim is None:
        raise typer.Exit(4)
    printed = asdict(claim)
    if not show_text:
        printed["messages"] = len(claim.messages)
    _print_json(printed)


@review_commands.command()
def renew(
    item_id: ItemId, token: Token, server: Server = _LOCAL, reviewer: As = None, lease_s: LeaseS = 0
) -> None:
    """Keep it for longer."""
    with _client(server, reviewer) as client:
        out.print(f"until {client.renew(item_id, token, lease_s=lease_s).lease_until:%H:%M:%S} UTC")


@review_commands.command()
def release(item_id: ItemId, token: Token, server: Server = _LOCAL, reviewer: As = None) -> None:
    """Leave it to others."""
    with _client(server, reviewer) as client:
        client.release(item_id, token)


@review_commands.command()
def resolve(
    item_id: ItemId,
    token: Token,
    outcome: Annotated[str, typer.Argument(help="upheld or overturned.")],
    server: Server = _LOCAL,
    reviewer: As = None,
    category: Codes = None,
) -> None:
    """Say whether the decision was right, and which categories you see."""
    if outcome not in {each.value for each in Outcome}:
        raise InvalidRequest((Violation("outcome", "is upheld or overturned"),))
    with _client(server, reviewer) as client:
        client.resolve(item_id, token, Outcome(outcome), codes=category or ())


@review_commands.command()
def appeal(item_id: ItemId, server: Server = _LOCAL, reviewer: As = None) -> None:
    """Have somebody else look again at a resolved item, once."""
    with _client(server, reviewer) as client:
        client.appeal(item_id)


@review_commands.command()
def golden(item_id: ItemId, server: Server = _LOCAL) -> None:
    """Show a resolved item to every reviewer, to measure them."""
    with _client(server, None) as client:
        client.mark_golden(item_id)


@review_commands.command()
def feed(
    server: Server = _LOCAL,
    cursor: Annotated[
        str, typer.Option("--from", help="The cursor of the last event you have; default: all.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more.")] = False,
) -> None:
    """Print what happened to review items, one CloudEvent a line, oldest first."""
    with _client(server, None) as client:
        for event in client.feed(cursor, follow=follow):
            print(event.json, flush=True)


@review_commands.command()
def republish(
    sink: Annotated[str, typer.Argument(help="nats, rabbitmq, redis, kafka or webhook.")],
    cursor: Annotated[int, typer.Option("--from", min=0, help="Publish again what is after it.")],
    database_url: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Have the servers publish events again, for a broker that lost them."""
    settings = read_settings(database_url=database_url)
    work = partial(set_back, sink=sink, position=cursor)
    if not asyncio.run(_with_store(settings, lambda store: store.database.run(work))):
        raise InvalidRequest((Violation("sink", "is none, or has not come so far"),))


@review_commands.command()
def erase(
    subject: Annotated[str, typer.Option(help="What callers set as the label `subject`.")],
    tenant: Annotated[str, typer.Option(help="Whose caller it was.")] = "",
    actor: As = None,
    database_url: Annotated[str | None, typer.Option()] = None,
    is_sure: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
) -> None:
    """Destroy the keys of a subject's texts, and forget who it was; nothing brings them back."""
    settings = read_settings(database_url=database_url)
    if not is_sure:
        typer.confirm("The texts will be gone, in every backup too. Go on?", abort=True)
    by = actor or getpass.getuser()
    erased = asyncio.run(_with_store(settings, lambda store: store.erase(subject, tenant, by)))
    out.print(f"{erased} items erased")


def _client(server: str, reviewer: str | None) -> ReviewClient:
    connection = shown()
    if not connection.get("api_key"):
        reviewer = reviewer or getpass.getuser()
    return ReviewClient(server, reviewer=reviewer or "", **connection)


def _print_json(value: Any) -> None:
    out.print_json(json.dumps(value, default=show.plain))


def _review_items(settings: Settings, server: str | None, limit: int) -> list[Any]:
    if server is None:
        return list(asyncio.run(_with_store(settings, lambda s: s.list_items(limit))).items)
    with GuardClient(server, **shown()) as client:
        return list(islice(client.list_review_items(page_size=limit), limit))


async def _with_store(settings: Settings, work: Callable[[ReviewStore], Awaitable[T]]) -> T:
    async with open_store(settings.database_url, keys_url=settings.review_keys_url) as store:
        return await work(store)
