"""What was found of each conversation, kept without its text: a comparison needs no second run.

Rows are found again by the SHA-256 of their conversation.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from guard_service.errors import InvalidRequest, Violation
from guard_service.evaluation.evaluation import Judged, Judgement
from guard_service.evaluation.labelled import LabelledRow, Rejected
from guard_service.evaluation.record import Unread, read_records


@dataclass(frozen=True, slots=True)
class Readings:
    model: str
    policy: str  # id, version and the beginning of its digest
    judgements: Mapping[str, Judgement]  # by the conversation's digest
    refusals: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.model}, policy {self.policy}"


def match(
    rows: Iterable[LabelledRow | Rejected], readings: Readings
) -> tuple[list[Judged], list[Rejected]]:
    """Rows with what was found of them, and those of which nothing was."""
    judged, rejected = [], []
    for row in rows:
        if isinstance(row, Rejected):
            rejected.append(row)
            continue
        key = row.conversation.digest()
        if key in readings.judgements:
            judged.append(Judged(row, readings.judgements[key]))
        else:
            reason = readings.refusals.get(key, "has no saved reading")
            rejected.append(Rejected(row.line, reason))
    return judged, rejected


def save_readings(path: Path, readings: Readings) -> None:
    """As Parquet where the name ends so, else as JSON lines."""
    told = {"model": readings.model, "policy": readings.policy}
    rows = [
        {"conversation": key} | asdict(judgement) | told
        for key, judgement in readings.judgements.items()
    ]
    if path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def load_readings(path: Path) -> Readings:
    """InvalidRequest names the line that is not one of `save_readings`."""
    judgements, names = {}, set()
    for record in read_records(path):
        try:
            if isinstance(record, Unread):
                raise ValueError(record.reason)
            values = record.values
            judgements[str(values["conversation"])] = _judgement(values)
            names.add((str(values["model"]), str(values["policy"])))
        except (KeyError, TypeError, ValueError, AttributeError):
            problem = "is not a line of saved readings"
            raise InvalidRequest((Violation(f"{path}:{record.line}", problem),)) from None
    if len(names) != 1:
        raise InvalidRequest((Violation(str(path), "does not hold one model's readings"),))
    ((model, policy),) = names
    return Readings(model, policy, judgements)


def _judgement(values: Mapping[str, Any]) -> Judgement:
    scores = values["category_scores"] or {}
    return Judgement(
        float(values["unsafe_score"]),
        bool(values["is_unsafe"]),
        tuple(values["codes"]),
        # Parquet has one column for each code of any row.
        {code: score for code, score in scores.items() if score is not None},
    )
