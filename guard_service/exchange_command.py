"""`guard review export` and `import`: items out to other tools, and answers back in."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guard_service.config import Settings, read_settings
from guard_service.errors import Forbidden, InvalidRequest, Violation
from guard_service.exchange import argilla, label_studio, plain
from guard_service.exchange.task import Said, Task
from guard_service.review.account import Account, Accounts, Role
from guard_service.review.claim import Reviewer
from guard_service.review.exchange import Exported, Taken, Wanted, export, take
from guard_service.review.store import ReviewStore, open_store
from guard_service.startup import open_sealer
from guard_service.web.password import is_right

say = Console(stderr=True, soft_wrap=True)


class Format(Enum):
    JSONL = "jsonl"
    PARQUET = "parquet"
    LABEL_STUDIO = "label-studio"
    ARGILLA = "argilla"


@dataclass(frozen=True, slots=True)
class Form:
    writing: Callable[[Path], AbstractContextManager[Callable[[Task], None]]]
    read: Callable[[Path], Iterator[Said]]


_FORMS = {
    Format.JSONL: Form(plain.writing_jsonl, plain.read_jsonl),
    Format.PARQUET: Form(plain.writing_parquet, plain.read_parquet),
    Format.LABEL_STUDIO: Form(label_studio.writing, label_studio.read),
    Format.ARGILLA: Form(argilla.writing, argilla.read),
}

OfFormat = Annotated[Format, typer.Option("--format", help="Of the file.")]
DatabaseUrl = Annotated[str | None, typer.Option(help="Default: the one that guard serve takes.")]
Tenant = Annotated[str | None, typer.Option(help="Default: the items of all.")]


def export_items(
    file: Annotated[Path, typer.Argument(help="New file.")],
    form: OfFormat = Format.JSONL,
    with_closed: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    text_for: Annotated[
        str | None,
        typer.Option("--text-for", help="Account that the texts are for; asks its password."),
    ] = None,
    tenant: Tenant = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write what waits for people for another labelling tool; texts only for who may read them."""
    if file.exists():
        raise InvalidRequest((Violation("file", "is there already"),))
    settings = read_settings(database_url=database_url)
    wanted = Wanted(tenant, with_closed)
    num_items, num_texts = asyncio.run(_export(settings, wanted, text_for, _FORMS[form], file))
    say.print(f"{num_items} items, {num_texts} with text")


def import_answers(
    file: Annotated[Path, typer.Argument(help="What the tool gave back.")],
    form: OfFormat = Format.JSONL,
    reviewer: Annotated[
        str, typer.Option("--as", help="Stands before the annotator's name.")
    ] = "import",
    tenant: Tenant = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Take answers as resolutions, each once; a broken file changes nothing.

    Exit status 1 if some could not be taken.
    """
    said = list(_FORMS[form].read(file))
    settings = read_settings(database_url=database_url)
    counts = asyncio.run(_import(settings, said, reviewer, tenant))
    for taken in Taken:
        if counts[taken]:
            typer.echo(f"{counts[taken]} {taken.value}")
    if counts[Taken.UNKNOWN] or counts[Taken.HELD]:
        raise typer.Exit(1)


async def _export(
    settings: Settings, wanted: Wanted, text_for: str | None, form: Form, file: Path
) -> tuple[int, int]:
    """How many items were written, and how many of them with a text; all of them or no file."""
    num_items = num_texts = 0
    sealer, keys_url = open_sealer(settings), settings.review_keys_url
    async with open_store(settings.database_url, sealer, keys_url) as store:
        reader = await _admit(store, text_for) if text_for else None
        with _new(file), form.writing(file) as write:
            async for each in export(store.database, wanted):
                task = await _task(store, each, reader, settings)
                write(task)
                num_items += 1
                num_texts += bool(task.messages)
    return num_items, num_texts


@contextmanager
def _new(file: Path) -> Iterator[None]:
    """Nobody else's to read, as there may be texts in it; gone again if it does not end well."""
    file.touch(mode=0o600, exist_ok=False)
    try:
        yield
    except BaseException:
        file.unlink()
        raise


async def _task(
    store: ReviewStore, each: Exported, reader: Account | None, settings: Settings
) -> Task:
    item = each.item
    if reader and _may_read(reader, each, settings):
        by = Reviewer(reader.name, reader.tenant)
        text = await store.database.run(lambda c: store.read_text(c, item, by))
        item = replace(item, conversation=text)
    return Task(item, each.outcome, each.seen)


def _may_read(reader: Account, each: Exported, settings: Settings) -> bool:
    is_theirs = reader.tenant in (None, each.item.tenant)
    is_open = set(settings.console_restricted).isdisjoint(each.item.codes)
    return is_theirs and (is_open or reader.is_cleared)


async def _admit(store: ReviewStore, name: str) -> Account:
    """The account, whose password is asked for; Forbidden if it may not read texts."""
    accounts = Accounts(store.database)
    account = await accounts.find(name)
    if not await is_right(_password(), account.password if account else None):
        await accounts.failed(name)
        raise Forbidden("that is not an account and its password, or it is locked for a minute")
    if account is None or account.role is Role.AUDITOR:
        raise Forbidden("this account may not read texts")
    return account


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    asked: str = typer.prompt("Password", hide_input=True)
    return asked


async def _import(
    settings: Settings, said: Sequence[Said], reviewer: str, tenant: str | None
) -> Counter[Taken]:
    counts: Counter[Taken] = Counter()
    sealer, keys_url = open_sealer(settings), settings.review_keys_url
    async with open_store(settings.database_url, sealer, keys_url) as store:
        for each in said:
            name = f"{reviewer}/{each.annotator}" if each.annotator else reviewer
            by = Reviewer(name, tenant)
            work = partial(
                take, reviewer=by, item_id=each.item_id, answer=each.answer, sealer=sealer
            )
            counts[await store.database.run(work)] += 1
    return counts
