"""How many rows are what, by anything that rows can be told apart by; memory has a bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

MAX_NAMES = 200_000

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Counts:
    num_rows: int = 0
    num_unsafe: int = 0
    num_blocked: int = 0
    num_review: int = 0

    @property
    def unsafe_share(self) -> float:
        return self.num_unsafe / self.num_rows if self.num_rows else 0.0


@dataclass(frozen=True, slots=True)
class Marks:
    """What each row of a part is counted as."""

    unsafe: Flags
    blocked: Flags
    review: Flags

    def sums(self) -> list[int]:
        """As Counts has them."""
        marks = (self.unsafe, self.blocked, self.review)
        return [len(self.unsafe), *(int(np.count_nonzero(each)) for each in marks)]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The first of many names, those with the most unsafe rows before others."""

    first: Mapping[str, Counts]
    num_names: int  # of all; where some were forgotten, those that are known
    num_forgotten: int
    max_lacking: int  # unsafe rows that a count may lack, because its name was forgotten before


class Groups:
    """Counts by name. Past MAX_NAMES, the half with the fewest unsafe rows is forgotten."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._num_forgotten = self._max_lacking = 0

    def add(self, names: pa.Array, marks: Marks) -> None:
        """A part; rows without a name are left out."""
        encoded = names if pa.types.is_dictionary(names.type) else names.dictionary_encode()
        known = pc.is_valid(names).to_numpy(zero_copy_only=False)
        numbers = encoded.indices.fill_null(0).to_numpy()
        words = encoded.dictionary.to_pylist()
        lines = [known, *(known & each for each in (marks.unsafe, marks.blocked, marks.review))]
        counted = [np.bincount(numbers[line], minlength=len(words)) for line in lines]
        self.add_counts(dict(zip(words, np.stack(counted, axis=1).tolist(), strict=True)))

    def add_counts(self, counts: Mapping[str, Sequence[int]]) -> None:
        for name, added in counts.items():
            if held := self._counts.get(name):
                self._counts[name] = [a + b for a, b in zip(held, added, strict=True)]
            elif name and added[0]:
                self._counts[name] = list(added)
        if len(self._counts) > MAX_NAMES:
            self._forget()

    def in_order(self) -> dict[str, Counts]:
        """By name."""
        return {name: Counts(*counts) for name, counts in sorted(self._counts.items())}

    def first(self, num_names: int) -> Ranking:
        names = islice(sorted(self._counts, key=self._rank), num_names)
        first = {name: Counts(*self._counts[name]) for name in names}
        return Ranking(first, len(self._counts), self._num_forgotten, self._max_lacking)

    def _rank(self, name: str) -> tuple[int, int, str]:
        num_rows, num_unsafe, *_ = self._counts[name]
        return -num_unsafe, -num_rows, name

    def _forget(self) -> None:
        ranked = sorted(self._counts, key=self._rank)
        kept, lost = ranked[: MAX_NAMES // 2], ranked[MAX_NAMES // 2 :]
        self._num_forgotten += len(lost)
        self._max_lacking += self._counts[lost[0]][1]
        self._counts = {name: self._counts[name] for name in kept}
