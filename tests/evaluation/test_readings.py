from pathlib import Path

import pytest
from judged_rows import judged

from guard_service.errors import InvalidRequest
from guard_service.evaluation.evaluation import Judged
from guard_service.evaluation.labelled import Rejected
from guard_service.evaluation.readings import Readings, load_readings, match, save_readings

SECRET = "a text that must not be kept"
ROWS = [
    judged(True, 0.9, text=SECRET, found={"S1": 0.8}),
    judged(False, 0.1, text="other", found={"S1": 0.05, "S2": 0.05}),
]


def readings(rows: list[Judged]) -> Readings:
    found = {one.row.conversation.digest(): one.judgement for one in rows}
    return Readings("tiny", "default 1", found)


@pytest.mark.parametrize("name", ["kept.parquet", "kept.jsonl"])
def test_saved_readings_come_back_equal_and_without_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_readings(path, readings(ROWS))
    assert load_readings(path) == readings(ROWS)
    assert SECRET.encode() not in path.read_bytes()


def test_rows_find_their_reading_whatever_their_order() -> None:
    judged_again, rejected = match([one.row for one in reversed(ROWS)], readings(ROWS))
    assert judged_again == ROWS[::-1]
    assert rejected == []


def test_rows_without_a_reading_are_told() -> None:
    unread = Rejected(7, "not JSON in UTF-8")
    found, rejected = match([ROWS[0].row, unread], readings(ROWS[1:]))
    assert found == []
    assert rejected == [Rejected(0, "has no saved reading"), unread]


@pytest.mark.parametrize("line", ['{"conversation": "a"}', "7", "{", '{"conversation": []}'])
def test_a_line_that_is_no_reading_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "kept.jsonl"
    save_readings(path, readings(ROWS))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InvalidRequest, match=r"kept.jsonl:3: is not a line of saved readings"):
        load_readings(path)


def test_readings_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    save_readings(path, readings(ROWS[:1]))
    save_readings(other, Readings("large", "default 1", readings(ROWS[1:]).judgements))
    path.write_text(path.read_text() + other.read_text())
    with pytest.raises(InvalidRequest, match="one model's readings"):
        load_readings(path)
