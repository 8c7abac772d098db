"""What was found of each conversation, kept without its text: a comparison needs no second run.

Rows are found again by the SHA-256 of their conversation.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guard_service.errors import InvalidRequest, Violation
from guard_service.evaluation.evaluation import Judged, Judgement
from guard_service.evaluation.record import Unread, read_records


@dataclass(frozen=True, slots=True)
class Readings:
    model: str
    policy: str  # id, version and the beginning of its digest
    judgements: Mapping[str, Judgement]  # by the conversation's digest

    @property
    def name(self) -> str:
        return f"{self.model}, policy {self.policy}"


def save_readings(path: Path, model: str, policy: str, judged: Iterable[Judged]) -> None:
    """As Parquet where the name ends so, else as JSON lines."""
    found = {one.row.conversation.digest(): one.judgement for one in judged}
    told = {"model": model, "policy": policy}
    rows = [{"conversation": key} | asdict(value) | told for key, value in found.items()]
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
