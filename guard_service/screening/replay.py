"""Stored readings decided anew under another policy, many rows at a time and without the model.

The arrays say what verdict.read_verdict and decision.decide say of one row; a test holds them
together. Arrays are one line per category, one column per window or row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from guard_service.decision import draw
from guard_service.errors import ScreeningRefused
from guard_service.evidence import unasked
from guard_service.policy import Action, Policy, SignRule
from guard_service.screening.manifest import Terms
from guard_service.screening.subject import request_id

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Windows:
    """What the model read: the stored worst window of each row, in order, then all others."""

    rows: Numbers  # of which row each is
    unsafe_scores: Floats
    scores: Floats
    listed: Flags


@dataclass(frozen=True, slots=True)
class Redecided:
    """What the policy says of each row."""

    blocks: Flags
    needs_review: Flags
    is_unsafe: Flags
    flagged: Flags
    unsafe_scores: Floats  # of the worst window, as the scores
    scores: Floats
    worst: Numbers  # which of the windows


def check_answerable(policy: Policy, terms: Terms) -> None:
    """ScreeningRefused where the model was not asked what this policy would have to know."""
    if problem := unasked(policy, terms.codes, terms.list_above):
        raise ScreeningRefused(f"policy: {problem}")


def read_windows(table: pa.Table, codes: Sequence[str]) -> Windows:
    others = _whole(table, "other_windows")
    told = pc.list_flatten(others)
    parts = [
        [_whole(table, name) for name in ("unsafe_score", "scores", "listed")],
        [pc.struct_field(told, [name]) for name in ("unsafe_score", "scores", "listed")],
    ]
    score, scores, listed = zip(*parts, strict=True)
    return Windows(
        np.concatenate([np.arange(len(table)), _parents(others)]),
        np.concatenate([each.to_numpy(zero_copy_only=False) for each in score]),
        np.concatenate([_by_code(each, codes) for each in scores], axis=1),
        np.concatenate([named(each, codes) for each in listed], axis=1),
    )


def redecide(table: pa.Table, policy: Policy) -> Redecided:
    """Decide each row of a part of the output; the policy must be answerable."""
    codes, num_rows = [category.code for category in policy.categories], len(table)
    windows = read_windows(table, codes)
    # 1) Each window by itself
    is_base = windows.unsafe_scores >= policy.threshold
    found = windows.listed & is_base
    for code, line, scores in zip(codes, found, windows.scores, strict=True):
        if (threshold := policy.rules[code].threshold) is not None:
            line |= scores >= threshold
    is_unsafe = is_base | found.any(axis=0)
    # 2) The worst window, with the flags of all
    worst = _worst(windows, is_unsafe, num_rows)
    flagged = found[:, :num_rows].copy()
    for line, more in zip(flagged, found[:, num_rows:], strict=True):
        line[windows.rows[num_rows:][more]] = True
    # 3) What the policy does about it
    blocking = [policy.rules[code].action is Action.BLOCK for code in codes]
    blocks = flagged[blocking].any(axis=0) | (is_unsafe[worst] & ~flagged.any(axis=0))
    blocks |= _signed(table, policy, SignRule.BLOCK)
    unsafe_scores = windows.unsafe_scores[worst]
    review = np.abs(unsafe_scores - policy.threshold) <= policy.review.band
    review |= np.where(blocks, policy.review.blocked, flagged.any(axis=0))
    review |= _signed(table, policy, SignRule.REVIEW)
    review |= _sampled(table, policy, ~review)
    scores = windows.scores[:, worst]
    return Redecided(blocks, review, is_unsafe[worst], flagged, unsafe_scores, scores, worst)


def named(lists: pa.ListArray, codes: Sequence[str]) -> Flags:
    """Which of the codes each list names."""
    flags = np.zeros((len(codes), len(lists)), np.bool_)
    values = pc.list_flatten(lists)
    numbers = pc.index_in(values, value_set=pa.array(codes, values.type))
    known = numbers.is_valid().to_numpy(zero_copy_only=False)
    flags[numbers.drop_null().to_numpy(), _parents(lists)[known]] = True
    return flags


def _worst(windows: Windows, is_unsafe: Flags, num_rows: int) -> Numbers:
    worst = np.arange(num_rows)
    has_others = np.zeros(num_rows, np.bool_)
    has_others[windows.rows[num_rows:]] = True
    rivals = np.flatnonzero(has_others[windows.rows])
    # lexsort is stable: of equals the one that was read first stays in front, as in read_verdict.
    keys = (-windows.unsafe_scores[rivals], ~is_unsafe[rivals], windows.rows[rivals])
    ranked = rivals[np.lexsort(keys)]
    rows, first = np.unique(windows.rows[ranked], return_index=True)
    worst[rows] = ranked[first]
    return worst


def _signed(table: pa.Table, policy: Policy, rule: SignRule) -> Flags:
    signs = [sign.value for sign, does in policy.signs.items() if does is rule]
    return np.asarray(named(_whole(table, "signs"), signs).any(axis=0), np.bool_)


def _sampled(table: pa.Table, policy: Policy, open_rows: Flags) -> Flags:
    """Drawn by the request ids that the rows would be asked under."""
    sampled = np.zeros(len(table), np.bool_)
    if policy.review.sample:
        numbers, asked_of = np.flatnonzero(open_rows), policy.digest
        digests: Iterable[bytes] = _whole(table, "digest").take(pa.array(numbers)).to_pylist()
        sampled[numbers] = [
            draw(request_id(digest, asked_of)) < policy.review.sample for digest in digests
        ]
    return sampled


def _whole(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _parents(lists: pa.ListArray) -> Numbers:
    return np.asarray(pc.list_parent_indices(lists), np.int64)


def _by_code(scores: pa.StructArray, codes: Sequence[str]) -> Floats:
    return np.stack([pc.struct_field(scores, [c]).to_numpy(zero_copy_only=False) for c in codes])
