"""A part written anew is as a screening by the other policy would have written it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from screened import TERMS

from guard_service.policy import Policy
from guard_service.screening.manifest import Done
from guard_service.screening.output import write_part
from guard_service.screening.part import DECIDED, PLACE, read_parts, rewritten
from guard_service.screening.replay import redecide
from guard_service.screening.row import row_schema

CODES = ("S1", "S2")


def window(score: float, first: float) -> dict[str, object]:
    scores = {"S1": score * first, "S2": score * (1 - first)}
    return {"unsafe_score": score, "scores": scores, "listed": [], "label_mass": score}


def test_the_window_that_is_the_worst_now_changes_place_with_the_one_that_was() -> None:
    first, second, third = window(0.5, 0.5), window(0.25, 0.25), window(0.375, 1.0)
    values = [
        first | {"digest": bytes(16), "signs": [], "other_windows": [second, third]},
        second | {"digest": bytes(16), "signs": [], "other_windows": None},
    ]
    table = pa.Table.from_pylist(values, schema=row_schema(CODES))
    rules = {"S1": {"threshold": 0.375}, "S2": {}}
    policy = Policy.model_validate(
        {"id": "p", "version": "2", "threshold": 0.75, "categories": rules}
    )
    after = rewritten(table, redecide(table, policy), policy)
    changed, same = after.to_pylist()
    assert {name: changed[name] for name in third} == third
    assert changed["other_windows"] == [first, second]
    assert (changed["action"], changed["categories"]) == ("block", ["S1"])
    assert {name: same[name] for name in second} == second
    assert same["other_windows"] is None
    assert (redecide(after, policy).worst == np.arange(2)).all()


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
@pytest.mark.parametrize("columns", [None, (*PLACE, *DECIDED)])
def test_parts_come_in_their_order_with_what_is_asked_of_them(
    tmp_path: Path, kind: str, columns: tuple[str, ...] | None
) -> None:
    terms = replace(TERMS, format=kind, codes=CODES)
    values = window(0.5, 0.5) | {"digest": bytes(16), "signs": []}
    done = [Done(number, "", 1, 1, 0, 0, 0) for number in range(7)]
    for each in done:
        rows = [values | {"line": each.number}]
        table = pa.Table.from_pylist(rows, schema=row_schema(CODES))
        write_part(tmp_path, each.number, table, kind)
    read = list(read_parts(tmp_path, done, terms, columns))
    assert [each for each, _ in read] == done
    assert [table["line"].to_pylist() for _, table in read] == [[n] for n in range(7)]
    names = row_schema(CODES).names if kind == "jsonl" or not columns else columns
    assert all(set(table.schema.names) == set(names) for _, table in read)
