"""`guard review replay` and `shadow`: what was decided, decided again without the model."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from guard_service import show
from guard_service.config import Settings, read_settings
from guard_service.errors import ReviewItemUnknown
from guard_service.policy import Policy, read_policy
from guard_service.review.evidence import Wanted
from guard_service.review.flip import read_flips
from guard_service.review.replay import Redecided, every_decided
from guard_service.review.replay import replay as decide_again
from guard_service.review.store import open_store

say = Console(stderr=True, soft_wrap=True)

DatabaseUrl = Annotated[str | None, typer.Option(help="Default: the one that guard serve takes.")]


@dataclass(slots=True)
class Tally:
    """What came of deciding again; `told` are the items to be shown."""

    num_items: int = 0
    unanswerable: Counter[str] = field(default_factory=Counter)  # by the problem
    told: list[Redecided] = field(default_factory=list)


def replay(
    policy: Annotated[
        Path | None, typer.Option(help="TOML file of another policy; default: each item's own.")
    ] = None,
    item: Annotated[str, typer.Option(help="Only this item, with all that it rests on.")] = "",
    database_url: DatabaseUrl = None,
) -> None:
    """Decide stored items again, without the model.

    By their own policies: exit status 1 if a decision is not exactly the stored one. By another:
    the items with another action now, one JSON object a line.
    """
    asked = read_policy(policy) if policy else None
    settings = read_settings(database_url=database_url)
    tally = asyncio.run(_decide_again(settings, asked, item))
    if item and not tally.num_items:
        raise ReviewItemUnknown
    for each in tally.told:
        typer.echo(json.dumps(_told(each) | (_basis(each) if item else {}), default=show.plain))
    _sum_up(tally, asked)
    if asked is None and any(not each.is_same for each in tally.told):
        raise typer.Exit(1)


def shadow(
    policy: Annotated[Path | None, typer.Option(help="TOML file: of this shadow alone.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """What the shadow of guard serve would have done differently, one JSON object a line."""
    digest = read_policy(policy).digest if policy else ""
    settings = read_settings(database_url=database_url)
    counts: Counter[tuple[str, str]] = Counter()
    for flip in asyncio.run(_flips(settings, digest)):
        counts[flip["category"], flip["after"]] += 1
        typer.echo(json.dumps(flip))
    for (category, action), num in counts.most_common():
        say.print(f"{num} to {action}: {category}")


async def _flips(settings: Settings, digest: str) -> list[Mapping[str, Any]]:
    async with open_store(settings.database_url, keys_url=settings.review_keys_url) as store:
        return await store.database.read(lambda c: list(read_flips(c, digest)))


async def _decide_again(settings: Settings, asked: Policy | None, item_id: str) -> Tally:
    tally, wanted = Tally(), Wanted(item_id, policy=asked.id if asked and not item_id else "")
    url, keys_url = settings.database_url, settings.review_keys_url
    async with open_store(url, keys_url=keys_url) as store:
        async for decided in every_decided(store.database, wanted):
            tally.num_items += 1
            again = decide_again(decided, asked)
            if isinstance(again, str):
                tally.unanswerable[again] += 1
            elif item_id or (again.is_flip if asked else not again.is_same):
                tally.told.append(again)
    return tally


def _told(each: Redecided) -> dict[str, Any]:
    item = each.stored.item
    return {
        "item": item.id,
        "policy": f"{item.policy}@{item.policy_version}",
        "before": item.action,
        "after": each.decision.action,
        "reason_before": item.reason,
        "reason_after": each.decision.review_reason,
        "categories_before": item.codes,
        "categories_after": each.codes,
        "unsafe_score": each.verdict.unsafe_score,
        "outcome": each.stored.outcome,
    }


def _basis(each: Redecided) -> dict[str, Any]:
    evidence = each.stored.evidence
    return {
        "is_as_stored": each.is_same,
        "model": each.stored.item.model,
        "model_digest": evidence.model_digest,
        "prompt_digest": evidence.prompt_digest,
        "policy_digest": evidence.policy.digest,
        "signs": sorted(sign.value for sign in evidence.signs),
        "windows": [asdict(reading) for reading in evidence.readings],
    }


def _sum_up(tally: Tally, asked: Policy | None) -> None:
    """For people: on stderr, so that the lines stay JSON."""
    what = "another action" if asked else "not as stored"
    num_told = sum(each.is_flip if asked else not each.is_same for each in tally.told)
    say.print(f"{tally.num_items} items decided again, {num_told} {what}")
    for problem, count in tally.unanswerable.most_common(10):
        say.print(f"{count} items cannot be: {problem}")
