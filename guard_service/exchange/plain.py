"""Our own form, as JSON lines or Parquet: a row for each item, whose `answer` people fill in."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from guard_service.exchange.task import Said, Task, broken, read_said, whole

_GROUP = 1000  # rows
_STRING, _STRINGS = pa.string(), pa.list_(pa.string())
_MESSAGE = pa.struct(
    {
        "role": _STRING,
        "content": _STRING,
        "name": _STRING,
        "tool_calls": pa.list_(pa.struct({"name": _STRING, "arguments": _STRING})),
    }
)
_ANSWER = pa.struct(
    {"outcome": _STRING, "categories": _STRINGS, "note": _STRING, "reviewer": _STRING}
)
_SCHEMA = pa.schema(
    {
        "id": _STRING,
        "created_at": _STRING,
        "reason": _STRING,
        "action": _STRING,
        "judged_role": _STRING,
        "judged_message": pa.int64(),
        "unsafe_score": pa.float64(),
        "categories": _STRINGS,
        "scores": pa.map_(_STRING, pa.float64()),
        "policy": _STRING,
        "policy_version": _STRING,
        "model": _STRING,
        "messages": pa.list_(_MESSAGE),
        "outcome": _STRING,
        "categories_seen": _STRINGS,
        "answer": _ANSWER,
    }
)


@contextmanager
def writing_jsonl(path: Path) -> Iterator[Callable[[Task], None]]:
    with path.open("w", encoding="ascii") as file:

        def write(task: Task) -> None:
            file.write(json.dumps(_row(task)) + "\n")

        yield write


@contextmanager
def writing_parquet(path: Path) -> Iterator[Callable[[Task], None]]:
    """A row group at a time is in memory."""
    rows: list[dict[str, Any]] = []
    with path.open("wb") as file, pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer:

        def write(task: Task) -> None:
            row = _row(task)
            rows.append(row | {"scores": list(row["scores"].items())})
            if len(rows) == _GROUP:
                flush()

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
            rows.clear()

        yield write
        flush()


def read_jsonl(path: Path) -> Iterator[Said]:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip():
            place = f"line {number}"
            try:
                row = json.loads(line)
            except ValueError:
                raise broken(place, "is not JSON") from None
            yield from _said(place, row)


def read_parquet(path: Path) -> Iterator[Said]:
    try:
        rows = pq.read_table(path, columns=["id", "answer"]).to_pylist()
    except (pa.ArrowException, KeyError):
        raise broken(path.name, "is not Parquet with the columns id and answer") from None
    for number, row in enumerate(rows, 1):
        yield from _said(f"row {number}", row)


def _row(task: Task) -> dict[str, Any]:
    item = task.item
    return {
        "id": item.id,
        "created_at": item.created_at.isoformat(),
        "reason": item.reason.value,
        "action": item.action.value,
        "judged_role": item.judged_role.value,
        "judged_message": item.judged_message,
        "unsafe_score": item.unsafe_score,
        "categories": list(item.codes),
        "scores": dict(item.scores),
        "policy": item.policy,
        "policy_version": item.policy_version,
        "model": item.model,
        "messages": [_message(message) for message in task.messages] or None,
        "outcome": task.outcome and task.outcome.value,
        "categories_seen": list(task.seen),
        "answer": None,
    }


def _message(message: Any) -> dict[str, Any]:
    calls = [
        {"name": whole(call.name), "arguments": whole(call.arguments_json)}
        for call in message.tool_calls
    ]
    told = {"role": message.role.value, "content": whole(message.content)}
    return told | {"name": whole(message.name), "tool_calls": calls}


def _said(place: str, row: Any) -> Iterator[Said]:
    """None where nobody has answered yet."""
    if not isinstance(row, dict):
        raise broken(place, "must be an object")
    answer = row.get("answer")
    if answer is None:
        return
    if not isinstance(answer, dict):
        raise broken(f"{place}.answer", "must be an object")
    yield read_said(
        place,
        row.get("id"),
        answer.get("outcome"),
        answer.get("categories") or [],
        answer.get("reviewer") or "",
        answer.get("note") or "",
    )
