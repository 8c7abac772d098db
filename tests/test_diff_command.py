"""Two outputs compared through the command, and the rows that differ in either format."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from screened import screen
from typer.testing import CliRunner

from guard_service.cli import commands


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_rows_of_one_output_alone_are_told_and_written(tmp_path: Path, name: str) -> None:
    log, to = tmp_path / "log.jsonl", tmp_path / name
    lines = [json.dumps({"text": f"question {n}"}) + "\n" for n in range(20)]
    for out, kept in (("a", lines), ("b", lines[:15])):
        log.write_text("".join(kept))
        screen([log], tmp_path / out)
    command = ["screen-diff", str(tmp_path / "a"), str(tmp_path / "b"), "--to", str(to)]
    result = CliRunner().invoke(commands, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "15 rows of both" in result.output
    assert "5 rows only in A" in result.output
    if to.suffix == ".parquet":
        rows = pq.read_table(to).to_pylist()
    else:
        rows = [json.loads(line) for line in to.read_text().splitlines()]
    assert sorted(row["line"] for row in rows) == [16, 17, 18, 19, 20]
    assert {row["differs"] for row in rows} == {"only first"}
    assert all(row["action_first"] and row["action_second"] is None for row in rows)
