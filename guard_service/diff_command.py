"""`guard screen-diff`: what two outputs say of the same rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from guard_service import show
from guard_service.screening.difference import SHIFTS, Difference, Key, OnRows, compare

out = Console(soft_wrap=True)


def screen_diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="What guard screen wrote.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another such output.")],
    by: Annotated[
        Key, typer.Option(help="Rows are the same at the same place, or of equal conversations.")
    ] = Key.PLACE,
    to: Annotated[
        Path | None, typer.Option(help="The rows that differ: *.parquet, or else JSON lines.")
    ] = None,
) -> None:
    """Compare two outputs: rows of one alone, other decisions, and how far scores moved."""
    with _written(to) as on_rows:
        difference = compare(first, second, by, on_rows)
    _show(difference)


@contextmanager
def _written(to: Path | None) -> Iterator[OnRows | None]:
    if to is None:
        yield None
    elif to.suffix == ".parquet":
        writers: list[pq.ParquetWriter] = []

        def write(rows: pa.Table) -> None:
            if not writers:
                writers.append(pq.ParquetWriter(to, rows.schema, compression="zstd"))
            writers[0].write_table(rows)

        try:
            yield write
        finally:
            for writer in writers:
                writer.close()
    else:
        with to.open("wb") as file:
            yield lambda rows: file.writelines(
                orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows.to_pylist()
            )


def _show(difference: Difference) -> None:
    out.print(f"{difference.change.num_rows} rows of both")
    for num_rows, where in (
        (difference.num_only_first, "only in A"),
        (difference.num_only_second, "only in B"),
        (difference.num_other_texts, "at the same place with another text, not compared"),
    ):
        if num_rows:
            out.print(f"{num_rows} rows {where}")
    show.change(out, difference.change)
    table = Table("unsafe score, B - A", "rows")
    for (low, high), num_rows in zip(pairwise(SHIFTS), difference.shifts.tolist(), strict=True):
        if num_rows:
            table.add_row(f"{low:+g} to {high:+g}", str(num_rows))
    if table.row_count:
        out.print(table)
    mean, most = difference.mean_shift, difference.max_shift
    out.print(f"scores moved by {mean:.4f} on average, by {most:.4f} at most")
