"""The rows of the output: one for each message that was judged, and never its text.

They hold every number that a decision is made of, so that another policy can decide anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from guard_service.screening.judgement import Judgement
from guard_service.screening.subject import DIGEST_BYTES, Item
from guard_service.verdict import Reading

_WORD = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True, slots=True)
class Judged:
    """Who judged by what: the same for every row of a run."""

    policy: str
    policy_version: str
    policy_digest: str
    model: str
    model_digest: str
    codes: tuple[str, ...]  # of the policy's categories, in its order


def row_schema(codes: Sequence[str]) -> pa.Schema:
    scores = pa.struct([(code, pa.float64()) for code in codes])
    window = [
        ("unsafe_score", pa.float64()),
        ("scores", scores),
        ("listed", pa.list_(pa.string())),
        ("label_mass", pa.float64()),
    ]
    return pa.schema(
        [
            ("file", _WORD),
            ("line", pa.int64()),
            ("message", pa.int32()),
            ("choice", pa.int32()),
            ("role", _WORD),
            ("id", pa.string()),
            ("time", pa.timestamp("s", "UTC")),
            ("user", pa.string()),
            ("log_model", _WORD),
            ("digest", pa.binary(DIGEST_BYTES)),
            ("action", _WORD),
            ("review", pa.bool_()),
            ("unsafe", pa.bool_()),
            ("categories", pa.list_(pa.string())),
            *window,
            ("other_windows", pa.list_(pa.struct(window))),
            ("assessment", _WORD),
            ("judged_chars", pa.int64()),
            ("total_chars", pa.int64()),
            ("signs", pa.list_(pa.string())),
            ("policy", _WORD),
            ("policy_version", _WORD),
            ("policy_digest", _WORD),
            ("model", _WORD),
            ("model_digest", _WORD),
        ]
    )


def table_of(rows: Sequence[tuple[Item, Judgement]], judged: Judged) -> pa.Table:
    """The rows in their order."""
    schema, num_rows = row_schema(judged.codes), len(rows)
    items = [item for item, _ in rows]
    judgements = [judgement for _, judgement in rows]
    worst = [judgement.worst for judgement in judgements]
    columns: dict[str, Any] = {
        "file": [item.place.file for item in items],
        "line": [item.place.line for item in items],
        "message": [item.message for item in items],
        "choice": [item.choice for item in items],
        "role": [item.conversation.messages[-1].role.value for item in items],
        "id": [item.origin.id for item in items],
        "time": [item.origin.time for item in items],
        "user": [item.origin.user for item in items],
        "log_model": [item.origin.model for item in items],
        "digest": [item.digest for item in items],
        "action": [judgement.action for judgement in judgements],
        "review": [judgement.needs_review for judgement in judgements],
        "unsafe": [judgement.is_unsafe for judgement in judgements],
        "categories": [judgement.codes for judgement in judgements],
        "unsafe_score": [window.unsafe_score for window in worst],
        "scores": _scores(worst, schema.field("scores").type),
        "listed": [window.listed for window in worst],
        "label_mass": [window.label_mass for window in worst],
        "other_windows": [_windows(judgement.others, judged.codes) for judgement in judgements],
        "assessment": [judgement.assessment for judgement in judgements],
        "judged_chars": [judgement.judged_chars for judgement in judgements],
        "total_chars": [judgement.total_chars for judgement in judgements],
        "signs": [judgement.signs for judgement in judgements],
    }
    for name in ("policy", "policy_version", "policy_digest", "model", "model_digest"):
        columns[name] = pa.array([getattr(judged, name)] * num_rows, pa.string())
    return pa.table([_column(columns[each.name], each.type) for each in schema], schema=schema)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, list):
        plain = pa.string() if pa.types.is_dictionary(kind) else kind
        values = pa.array(values, plain)
    return values.dictionary_encode() if pa.types.is_dictionary(kind) else values


def _scores(windows: Sequence[Reading], kind: pa.DataType) -> pa.Array:
    by_window = np.array([window.first_scores for window in windows], np.float64)
    unsafe_scores = np.array([window.unsafe_score for window in windows], np.float64)
    by_code = by_window.reshape(len(windows), kind.num_fields).T * unsafe_scores
    return pa.StructArray.from_arrays([pa.array(each) for each in by_code], fields=list(kind))


def _windows(others: Iterable[Reading], codes: Sequence[str]) -> list[Mapping[str, Any]] | None:
    return [
        {
            "unsafe_score": window.unsafe_score,
            "scores": {
                code: window.unsafe_score * first
                for code, first in zip(codes, window.first_scores, strict=True)
            },
            "listed": window.listed,
            "label_mass": window.label_mass,
        }
        for window in others
    ] or None
