"""Whole screenings without a model: every line is accounted for, once, whatever happens."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from length import length
from screened import (
    CHUNK_LINES,
    asked,
    line,
    made_log,
    published,
    rejects,
    rows,
    screen,
    screen_until_killed,
    write_log,
)
from scripted_judge import ScriptedJudge
from shared_data import shared_file

from guard_service.errors import ScreeningRefused, ScreeningStopped, Unavailable
from guard_service.screening.asker import SLICE_ITEMS
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.subject import Item

KILLS = length("SCREEN_KILLS", 3, full=200)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))


def test_two_thousand_lines_are_all_accounted_for(tmp_path: Path) -> None:
    screen([shared_file("data/chatlog_sample.jsonl")], tmp_path / "out")
    judged, rejected = rows(tmp_path / "out"), rejects(tmp_path / "out")
    by_role = {
        role: [row for row in judged if row["role"] == role] for role in ("user", "assistant")
    }
    assert {row["line"] for row in by_role["user"]} == set(range(1, 2001))
    replies = {row["line"] for row in by_role["assistant"]}
    assert replies | {entry["line"] for entry in rejected} == set(range(1, 2001))
    assert Counter(entry["reason"].split(" (")[0] for entry in rejected) == {
        "no response": 97,
        "the response is blank": 25,
    }
    places = Counter((row["line"], row["message"], row["choice"]) for row in judged)
    assert set(places.values()) == {1}


def test_a_kill_at_any_moment_costs_at_most_a_chunk_and_changes_nothing(tmp_path: Path) -> None:
    log = made_log(tmp_path / "log.jsonl", 12 * CHUNK_LINES + 17)
    out, record = tmp_path / "out", tmp_path / "asked"
    undisturbed = ScriptedJudge()
    screen([log], tmp_path / "undisturbed", undisturbed)
    draw, num_kills = random.Random(SEED), 0
    slices_between = len(undisturbed.asked) // SLICE_ITEMS // KILLS
    while True:
        # Once there were enough, it may end.
        slices = draw.randrange(2 * slices_between) if num_kills < KILLS else len(undisturbed.asked)
        ended = screen_until_killed(log, out, record, slices, draw.uniform(0, 30))
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        num_kills += 1
    assert num_kills
    assert published(out) == published(tmp_path / "undisturbed")
    times = Counter(asked(record))
    repeated = sum(times.values()) - len(times)
    assert repeated <= num_kills * 2 * CHUNK_LINES  # a line is two messages
    print(f"{num_kills} kills, {len(times)} judged, {repeated} judged again")


def test_equal_conversations_are_judged_once_in_different_chunks_too(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join(line(n % 100) for n in range(3 * CHUNK_LINES)))
    judge = ScriptedJudge()
    screen([log], tmp_path / "out", judge)
    assert len(judge.asked) == len(set(judge.asked)) == 200
    assert len(rows(tmp_path / "out")) == 6 * CHUNK_LINES


def test_a_finished_run_is_only_looked_through_again(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 1200)
    screen([log], tmp_path / "out")
    before, judge = published(tmp_path / "out"), ScriptedJudge()
    screen([log], tmp_path / "out", judge)
    assert published(tmp_path / "out") == before
    assert judge.asked == []


class Stopping(ScriptedJudge):
    """Asks for a stop, or fails, at its third slice."""

    def __init__(self, stopping: asyncio.Event, error: Exception | None = None) -> None:
        super().__init__()
        self._left = 3
        self._stopping = stopping
        self._error = error

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        self._left -= 1
        if not self._left:
            if self._error:  # and no stop, which the reading thread might meet first
                raise self._error
            self._stopping.set()
        return await super().judge(items)


@pytest.mark.parametrize("error", [None, Unavailable("away")])
def test_the_same_command_goes_on_after_a_stop_or_a_failure(
    tmp_path: Path, error: Exception | None
) -> None:
    log = write_log(tmp_path / "log.jsonl", 3000)
    screen([log], tmp_path / "undisturbed")
    stopping = asyncio.Event()
    stopped = Stopping(stopping, error)
    with pytest.raises(type(error) if error else ScreeningStopped):
        screen([log], tmp_path / "out", stopped, stopping=stopping)
    assert 0 < len(stopped.asked) < 3000
    judge = ScriptedJudge()
    screen([log], tmp_path / "out", judge)
    assert not set(judge.asked) & set(stopped.asked)  # what was under way was not lost
    assert published(tmp_path / "out") == published(tmp_path / "undisturbed")


def test_changed_input_is_refused_unless_it_is_to_be_judged_anew(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 1200)
    screen([log], tmp_path / "out")
    before, written = published(tmp_path / "out"), log.read_bytes()
    changes = {
        "differs": written.replace(b"question 601", b"question 6o1"),
        "has become shorter": b"".join(written.splitlines(True)[:CHUNK_LINES]),
        "differs between": written + line(9999),
    }
    for problem, changed in changes.items():
        log.write_bytes(changed)
        with pytest.raises(ScreeningRefused, match=problem):
            screen([log], tmp_path / "out")
        assert published(tmp_path / "out") == before
    screen([log], tmp_path / "out", rerun=True)
    screen([log], tmp_path / "fresh")
    assert published(tmp_path / "out") == published(tmp_path / "fresh")


def test_parquet_and_json_lines_hold_the_same(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 1200)
    screen([log], tmp_path / "lines")
    screen([log], tmp_path / "table", format="parquet")
    table = pq.read_table(tmp_path / "table").to_pylist()  # our own files beside are passed over
    for row in table:
        row["digest"] = row["digest"].hex()
    assert table == rows(tmp_path / "lines")
    assert rejects(tmp_path / "table") == rejects(tmp_path / "lines")


def test_no_text_is_in_the_output(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.jsonl", 600)
    for format in ("jsonl", "parquet"):
        screen([log], tmp_path / format, format=format)
        for path in (tmp_path / format).rglob("*.*"):
            assert b"question" not in path.read_bytes()
