"""Two outputs compared bucket by bucket are as different as row by row."""

import random
from pathlib import Path
from typing import Any

import pytest
from screened_rows import Row, random_row, write_output

from guard_service.screening import difference
from guard_service.screening.difference import SHIFTS, Difference, Key, compare


def place(row: Row) -> tuple[Any, ...]:
    return row["file"], row["line"], row["message"], row["choice"]


def judged_again(draw: random.Random, row: Row) -> Row:
    """Most as before; some decided or scored otherwise, some of another text."""
    again = row | {"file": row["file"]}
    if draw.random() < 0.2:
        again["action"] = draw.choice(("allow", "block"))
    if draw.random() < 0.2:
        again["categories"] = draw.sample(["S1", "S2", "S3"], draw.randrange(3))
    if draw.random() < 0.3:
        again["unsafe_score"] = draw.random()
    if draw.random() < 0.05:
        again["digest"] = draw.randbytes(16)
    return again


def parts(draw: random.Random, rows: list[Row]) -> list[list[Row]]:
    """In another order, in parts of other sizes, and without some of them."""
    kept = [row for row in rows if draw.random() < 0.9]
    draw.shuffle(kept)
    return [kept[n : n + 60] for n in range(0, len(kept), 60)]


def flipped(first: Row, second: Row) -> bool:
    same = set(first["categories"]) == set(second["categories"])
    return not same or first["action"] != second["action"]


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "_BUCKET_ROWS", 40)


def compared(
    tmp_path: Path, sides: list[list[list[Row]]], key: Key
) -> tuple[Difference, list[Row]]:
    rows: list[Row] = []
    first, second = (write_output(tmp_path / f"{n}", side) for n, side in enumerate(sides))
    found = compare(first, second, key, lambda table: rows.extend(table.to_pylist()))
    return found, rows


@pytest.mark.parametrize("seed", range(3))
def test_every_figure_equals_brute_force(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    rows = [random_row(draw, n // 2) | {"message": n % 2} for n in range(300)]
    sides = [parts(draw, rows), parts(draw, [judged_again(draw, row) for row in rows])]
    found, differing = compared(tmp_path, sides, Key.PLACE)
    first, second = ({place(row): row for part in side for row in part} for side in sides)
    both = [(first[key], second[key]) for key in first.keys() & second.keys()]
    same = [(a, b) for a, b in both if a["digest"] == b["digest"]]
    assert found.num_only_first == len(first.keys() - second.keys())
    assert found.num_only_second == len(second.keys() - first.keys())
    assert found.num_other_texts == len(both) - len(same) > 0
    assert found.change.num_rows == len(same)
    for (was, now), num_rows in found.change.actions.items():
        assert num_rows == sum((a["action"], b["action"]) == (was, now) for a, b in same)
    for code in found.codes:
        gained = sum(code in b["categories"] and code not in a["categories"] for a, b in same)
        lost = sum(code in a["categories"] and code not in b["categories"] for a, b in same)
        assert (found.change.gained[code], found.change.lost[code]) == (gained, lost)
    shifts = [b["unsafe_score"] - a["unsafe_score"] for a, b in same]
    for n, num_rows in enumerate(found.shifts.tolist()):
        is_last = n == len(SHIFTS) - 2
        low, high = SHIFTS[n], SHIFTS[n + 1]
        assert num_rows == sum(low <= s < high or (is_last and s == high) for s in shifts)
    assert found.max_shift == max(map(abs, shifts))
    assert found.mean_shift == pytest.approx(sum(map(abs, shifts)) / len(shifts))
    told = {(row["differs"], *place(row)) for row in differing}
    assert len(told) == len(differing)
    assert told == (
        {("decision", *place(a)) for a, b in same if flipped(a, b)}
        | {("text", *place(a)) for a, b in both if a["digest"] != b["digest"]}
        | {("only first", *key) for key in first.keys() - second.keys()}
        | {("only second", *key) for key in second.keys() - first.keys()}
    )


def test_an_output_is_no_different_from_itself(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [[random_row(draw, n) for n in range(100)]]
    found, differing = compared(tmp_path, [rows, rows], Key.PLACE)
    assert found.change.num_rows == 100
    assert (found.num_only_first, found.num_only_second, found.max_shift) == (0, 0, 0)
    assert differing == []


def test_equal_conversations_are_compared_once_wherever_they_were(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [random_row(draw, n) | {"digest": bytes([n % 30]) * 16} for n in range(120)]
    moved = [row | {"file": "elsewhere.jsonl", "action": "block"} for row in rows[30:60]]
    found, differing = compared(tmp_path, [[rows], [moved[:15], moved[15:]]], Key.CONVERSATION)
    assert found.change.num_rows == 30
    assert (found.num_only_first, found.num_only_second, found.num_other_texts) == (0, 0, 0)
    allowed = sum(row["action"] == "allow" for row in rows[:30])
    assert found.change.actions["allow", "block"] == allowed
    assert {row["file"] for row in differing} <= {"a.jsonl", "b.jsonl"}


def test_an_output_without_rows_has_nothing_in_common_with_any(tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [random_row(draw, n) for n in range(50)]
    found, differing = compared(tmp_path, [[rows], []], Key.PLACE)
    assert found.num_only_first == len(differing) == 50
    assert found.change.num_rows == 0
