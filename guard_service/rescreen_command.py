"""`guard rescreen`: what another policy says of all that was screened, without the model."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import typer
from rich.console import Console

from guard_service import show
from guard_service.errors import ScreeningRefused
from guard_service.policy import Policy, read_policy
from guard_service.screening.change import Change, Decided
from guard_service.screening.manifest import Done, Terms
from guard_service.screening.output import write_part
from guard_service.screening.part import DECIDED, PLACE, flips, read_manifest, read_parts, rewritten
from guard_service.screening.replay import check_answerable, named, redecide

out = Console(soft_wrap=True)


def rescreen(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="What guard screen wrote.")],
    policy: Annotated[Path, typer.Option(help="TOML file of the other policy.")],
    flips_to: Annotated[
        Path | None, typer.Option("--flips", help="JSON lines: the rows with another action now.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="New folder: the whole output as this policy decides.")
    ] = None,
) -> None:
    """Decide all that was screened again by another policy, without the model."""
    asked = read_policy(policy)
    change = replay(folder, asked, flips_to, to)
    out.print(f"{change.num_rows} rows")
    show.change(out, change)


def replay(folder: Path, policy: Policy, flips_to: Path | None, to: Path | None) -> Change:
    """One part in memory at a time; ScreeningRefused before anything is written."""
    terms, done = read_manifest(folder)
    check_answerable(policy, terms)
    _make_room(to)
    change, rewritten_as = Change(), []
    with ExitStack() as stack:
        file = stack.enter_context(flips_to.open("wb")) if flips_to else None
        for each, table in read_parts(folder, done, terms, _columns(flips_to, to)):
            after = redecide(table, policy)
            blocked = pc.equal(table["action"].cast(pa.string()), "block").to_numpy()
            before = Decided(blocked, named(table["categories"].combine_chunks(), terms.codes))
            # Terms and policy hold the same codes, in the same order.
            change.add(before, Decided(after.blocks, after.flagged), terms.codes)
            if file:
                rows = flips(table, blocked, after).to_pylist()
                file.writelines(orjson.dumps(row) + b"\n" for row in rows)
            if to:
                write_part(to, each.number, rewritten(table, after, policy), terms.format)
                num_unsafe = int(np.count_nonzero(after.is_unsafe))
                rewritten_as.append(replace(each, num_unsafe=num_unsafe))
    if to:
        _write_own(folder, to, _terms(terms, policy), rewritten_as)
    return change


def _columns(flips_to: Path | None, to: Path | None) -> Sequence[str] | None:
    """What of a part is read; None for all of it."""
    if to:
        return None
    return (*DECIDED, *PLACE) if flips_to else DECIDED


def _terms(terms: Terms, policy: Policy) -> Terms:
    return replace(
        terms,
        policy=policy.id,
        policy_version=policy.version,
        policy_digest=policy.digest,
        threshold=policy.threshold,
        thresholds=tuple(policy.rules[code].threshold for code in terms.codes),
        review="",
    )


def _make_room(to: Path | None) -> None:
    if to is None:
        return
    if to.exists():
        raise ScreeningRefused(f"{to}: is there already")
    to.mkdir(parents=True)


def _write_own(folder: Path, to: Path, terms: Terms, done: list[Done]) -> None:
    """The manifest comes last: without it, what is in the folder is not an output."""
    own = to / "_screening"
    own.mkdir()
    shutil.copyfile(folder / "_screening" / "rejects.jsonl", own / "rejects.jsonl")
    lines = [orjson.dumps(each) + b"\n" for each in (terms, *done)]
    (own / "manifest.jsonl").write_bytes(b"".join(lines))
