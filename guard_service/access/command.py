"""`guard keys`: makes API keys. Servers are given only their hash."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import ValidationError

from guard_service.access.book import Key
from guard_service.access.key import make_key
from guard_service.batching.entry import Lane
from guard_service.errors import SettingsInvalid
from guard_service.review.account import Role

keys_commands = typer.Typer(name="keys", help="API keys.", no_args_is_help=True)


@keys_commands.callback()
def keys() -> None:
    """Keeps `new` a command of its own while there is no other."""


@keys_commands.command()
def new(
    name: Annotated[str, typer.Option(help="Who will use it; several keys may have one name.")],
    tenant: Annotated[str, typer.Option(help="Whose share, quota and review items it counts for.")],
    policy: Annotated[
        list[str] | None, typer.Option(help="Allowed; repeated. Default: all.")
    ] = None,
    lane: Annotated[
        list[Lane] | None, typer.Option(help="Allowed; repeated. Default: all.")
    ] = None,
    role: Annotated[
        list[Role] | None, typer.Option(help="In the review queue; repeated. Default: all.")
    ] = None,
    cleared: Annotated[
        bool, typer.Option("--cleared", help="For the categories of console_restricted too.")
    ] = False,
    days: Annotated[
        int | None, typer.Option(min=1, help="Until it expires. Default: never.")
    ] = None,
) -> None:
    """Make a key: it is printed once, on stderr; its entry for the access file on stdout."""
    key = make_key()
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days) if days else None
    try:
        entry = Key(
            id=key.id,
            name=name,
            tenant=tenant,
            sha256=key.sha256,
            policies=frozenset(policy) if policy else None,
            lanes=frozenset(lane) if lane else None,
            roles=frozenset(role) if role else None,
            cleared=cleared,
            expires=expires,
        )
    except ValidationError as error:
        fields = ", ".join(str(problem["loc"][0]) for problem in error.errors())
        raise SettingsInvalid(f"{fields}: letters, digits, '.', '_' and '-', at most 64") from None
    typer.echo(f"The key, shown only now: {key.text}", err=True)
    typer.echo(_toml(entry))


def _toml(key: Key) -> str:
    """The entry as TOML; its values need no escapes."""
    lines = [
        "[[keys]]",
        *(f'{n} = "{getattr(key, n)}"' for n in ("id", "name", "tenant", "sha256")),
    ]
    if key.policies:
        lines.append(f"policies = {sorted(key.policies)}")
    if key.lanes:
        lines.append(f"lanes = {sorted(lane.value for lane in key.lanes)}")
    if key.roles:
        lines.append(f"roles = {sorted(role.value for role in key.roles)}")
    if key.cleared:
        lines.append("cleared = true")
    if key.expires:
        lines.append(f"expires = {key.expires.isoformat()}")
    return "\n".join(lines)
