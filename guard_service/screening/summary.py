"""What an output holds, counted: a part in memory at a time, so that any number of rows will do."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from guard_service.screening.counts import Counts, Groups, Marks, Ranking
from guard_service.screening.example import Example, Shortlist
from guard_service.screening.manifest import Done, Terms
from guard_service.screening.part import read_manifest, read_parts
from guard_service.screening.replay import Flags, named

NUM_BINS = 40  # of scores, from 0 to 1
NEAR_THRESHOLD = ""  # the kind of examples that are of no category

_COLUMNS = (
    *("file", "line", "message", "choice", "role", "time", "user", "log_model", "digest"),
    *("action", "review", "unsafe", "categories", "unsafe_score", "scores", "assessment"),
    *("judged_chars", "total_chars", "signs"),
)
_MAX_REASONS = 50

Bins = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CategorySummary:
    num_flagged: int
    num_blocked: int  # of the flagged rows
    scores: tuple[int, ...]  # rows by score


@dataclass(frozen=True, slots=True)
class Coverage:
    num_complete: int
    num_partial: int
    judged_chars: int
    total_chars: int


@dataclass(frozen=True, slots=True)
class Summary:
    terms: Terms
    num_lines: int
    num_gaps: int
    total: Counts
    by_role: Mapping[str, Counts]
    by_day: Mapping[str, Counts]  # UTC; rows without a time are in none
    by_model: Ranking  # of the log
    by_user: Ranking
    by_category: Mapping[str, CategorySummary]
    scores: tuple[int, ...]  # rows by unsafe score
    blocked_scores: tuple[int, ...]  # of them the blocked ones
    coverage: Coverage
    signs: Mapping[str, int]
    reasons: Ranking  # of what was not judged
    examples: tuple[Example, ...]


def summarize(folder: Path, num_names: int, num_examples: int) -> Summary:
    """Count all that is published; names beyond so many users and models are left out."""
    terms, done = read_manifest(folder)
    counted = Aggregate(terms, Shortlist(num_examples))
    for _, table in read_parts(folder, done, terms, _COLUMNS):
        counted.add(table)
    reasons = Groups()
    size = done[-1].rejects_bytes if done else 0
    for reason in _reasons(folder / "_screening" / "rejects.jsonl", size):
        reasons.add_counts({reason: (1, 0, 0, 0)})
    return counted.summary(done, reasons.first(_MAX_REASONS), num_names)


@dataclass(slots=True)
class Aggregate:
    """All parts so far."""

    terms: Terms
    shortlist: Shortlist
    by_role: Groups = field(default_factory=Groups)
    by_day: Groups = field(default_factory=Groups)
    by_model: Groups = field(default_factory=Groups)
    by_user: Groups = field(default_factory=Groups)
    signs: Counter[str] = field(default_factory=Counter)
    assessments: Counter[str] = field(default_factory=Counter)
    chars: Counter[str] = field(default_factory=Counter)
    scores: Bins = field(default_factory=lambda: np.zeros((2, NUM_BINS), np.int64))
    flagged: Bins = field(init=False)  # rows and blocked rows, by category
    category_scores: Bins = field(init=False)
    total: Bins = field(default_factory=lambda: np.zeros(4, np.int64))

    def __post_init__(self) -> None:
        self.flagged = np.zeros((2, len(self.terms.codes)), np.int64)
        self.category_scores = np.zeros((len(self.terms.codes), NUM_BINS), np.int64)

    def add(self, table: pa.Table) -> None:
        table = table.combine_chunks()
        marks = _marks(table)
        self._count(table, marks)
        flagged = named(_column(table, "categories"), self.terms.codes)
        scores = _column(table, "unsafe_score").to_numpy()
        self.scores += [_bins(scores), _bins(scores[marks.blocked])]
        self.flagged += [flagged.sum(axis=1), (flagged & marks.blocked).sum(axis=1)]
        near = -np.abs(scores - self.terms.threshold)
        self.shortlist.add(NEAR_THRESHOLD, table, near, np.arange(len(table)))
        self._add_categories(table, flagged)

    def _count(self, table: pa.Table, marks: Marks) -> None:
        self.total += marks.sums()
        self.by_role.add(_column(table, "role"), marks)
        self.by_day.add(_column(table, "time").cast(pa.date32()).cast(pa.string()), marks)
        self.by_model.add(_column(table, "log_model"), marks)
        self.by_user.add(_column(table, "user"), marks)
        self.signs.update(pc.list_flatten(_column(table, "signs")).to_pylist())
        self.assessments.update(_column(table, "assessment").to_pylist())
        for name in ("judged_chars", "total_chars"):
            self.chars[name] += pc.sum(table[name]).as_py() or 0

    def _add_categories(self, table: pa.Table, flagged: Flags) -> None:
        by_code = _column(table, "scores")
        for number, code in enumerate(self.terms.codes):
            scores = pc.struct_field(by_code, [code]).to_numpy()
            self.category_scores[number] += _bins(scores)
            self.shortlist.add(code, table, scores, np.flatnonzero(flagged[number]))

    def summary(self, done: Sequence[Done], reasons: Ranking, num_names: int) -> Summary:
        return Summary(
            terms=self.terms,
            num_lines=sum(each.num_lines for each in done),
            num_gaps=sum(each.num_gaps for each in done),
            total=Counts(*self.total.tolist()),
            by_role=self.by_role.in_order(),
            by_day=self.by_day.in_order(),
            by_model=self.by_model.first(num_names),
            by_user=self.by_user.first(num_names),
            by_category=self._categories(),
            scores=tuple(self.scores[0].tolist()),
            blocked_scores=tuple(self.scores[1].tolist()),
            coverage=Coverage(
                self.assessments["complete"],
                self.assessments["partial"],
                self.chars["judged_chars"],
                self.chars["total_chars"],
            ),
            signs=dict(self.signs.most_common()),
            reasons=reasons,
            examples=self.shortlist.chosen(),
        )

    def _categories(self) -> dict[str, CategorySummary]:
        counted = zip(*self.flagged.tolist(), self.category_scores.tolist(), strict=True)
        return {
            code: CategorySummary(num_flagged, num_blocked, tuple(scores))
            for code, (num_flagged, num_blocked, scores) in zip(
                self.terms.codes, counted, strict=True
            )
        }


def _marks(table: pa.Table) -> Marks:
    blocked = pc.equal(_column(table, "action").cast(pa.string()), "block")
    unsafe, review = _column(table, "unsafe"), _column(table, "review")
    return Marks(*(each.to_numpy(zero_copy_only=False) for each in (unsafe, blocked, review)))


def _bins(scores: npt.NDArray[np.float64]) -> Bins:
    places = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    return np.bincount(places, minlength=NUM_BINS)


def _reasons(path: Path, num_bytes: int) -> Iterable[str]:
    """Of what the manifest counts; a run under way may have written more."""
    with path.open("rb") as file:
        while file.tell() < num_bytes:
            yield orjson.loads(file.readline())["reason"]


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table[name].combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
