"""The rows that people would want to see first: few of each kind, each conversation once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_TOLD = ("file", "line", "message", "choice", "role", "action", "categories", "unsafe_score")


@dataclass(frozen=True, slots=True)
class Example:
    kind: str  # a category, whose strongest it is; empty: near the threshold
    rank: float  # by which it was chosen
    file: str
    line: int
    message: int
    choice: int
    role: str
    action: str
    categories: tuple[str, ...]
    unsafe_score: float
    digest: str


class Shortlist:
    """The `size` highest ranks of each kind; of equal conversations, and ranks, the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: dict[str, dict[str, Example]] = {}

    def add(
        self,
        kind: str,
        table: pa.Table,
        ranks: npt.NDArray[np.float64],
        rows: npt.NDArray[np.int64],
    ) -> None:
        """Rows of a part, with the rank of every row."""
        held = self._held.setdefault(kind, {})
        for row in rows[np.argsort(-ranks[rows], kind="stable")].tolist():
            rank = float(ranks[row])
            if len(held) == self._size and rank <= min(each.rank for each in held.values()):
                return
            digest = table["digest"][row].as_py().hex()
            if digest not in held:
                held[digest] = _example(kind, rank, digest, table.slice(row, 1))
            if len(held) > self._size:
                del held[_last(held)]

    def chosen(self) -> tuple[Example, ...]:
        """By kind in the order in which kinds were first added, the highest rank first."""
        return tuple(
            each
            for held in self._held.values()
            for each in sorted(held.values(), key=lambda each: -each.rank)
        )


def _last(held: dict[str, Example]) -> str:
    """Of equal ranks the one that was added last."""
    return min(reversed(held), key=lambda digest: held[digest].rank)


def _example(kind: str, rank: float, digest: str, table: pa.Table) -> Example:
    (row,) = table.select(_TOLD).to_pylist()
    row["categories"] = tuple(row["categories"])
    return Example(kind, rank, digest=digest, **row)
