"""`guard screen-report`: the report of an output again, with texts or names if asked for."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from guard_service.errors import ScreeningRefused
from guard_service.screening.chunk import LineReader
from guard_service.screening.manifest import Terms
from guard_service.screening.mapping import mapping_digest, read_mapping
from guard_service.screening.part import read_manifest
from guard_service.screening.report import Asked, write_report
from guard_service.screening.subject import Subject

out = Console(soft_wrap=True)


def screen_report(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="What guard screen wrote.")],
    examples: Annotated[
        int, typer.Option(min=0, help="Texts of each kind, from the inputs; masked until opened.")
    ] = 0,
    mapping: Annotated[
        Path | None, typer.Option(help="The mapping file of the screening, to find texts by.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many users and models.")] = 20,
    show_users: Annotated[
        bool, typer.Option("--show-users", help="By the ids that the log has, not by digests.")
    ] = False,
) -> None:
    """Write summary.json and report.html of all that is published in OUT."""
    terms, _ = read_manifest(folder)
    reader = _reader(terms, mapping) if examples else None
    summary = write_report(folder, Asked(top, show_users, examples, reader))
    out.print(
        f"{summary.total.num_rows} messages, {summary.total.num_unsafe} unsafe "
        f"({summary.total.unsafe_share:.2%}); {summary.num_gaps} not judged"
    )
    out.print(f"{folder / '_screening' / 'report.html'}", markup=False)


def _reader(terms: Terms, mapping: Path | None) -> LineReader:
    """What reads the inputs as the screening did."""
    shape = read_mapping(mapping) if mapping else None
    if mapping_digest(mapping) != terms.mapping:
        named = "is not the one" if mapping else "give the one"
        raise ScreeningRefused(f"mapping: {named} that the output was screened with")
    return LineReader(frozenset(map(Subject, terms.judge)), shape)
