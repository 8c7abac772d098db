"""A screening through a server that is killed and started again meanwhile."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any
from unittest import mock

import pytest
from faults.replica import Replica
from length import length
from screened import (
    CHUNK_LINES,
    NOBODY,
    READER,
    TERMS,
    asked,
    made_log,
    published,
    rejects,
    rows,
    write_log,
)

from guard_service.judging import judging_there
from guard_service.screening.output import Output
from guard_service.screening.source import find_sources

SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
KILLS = length("SERVER_KILLS", 0, full=200)


def screen(log: Path, out: Path, address: str) -> dict[str, str]:
    """What is published of the log as the server judges it."""

    async def run() -> None:
        async with judging_there(address, "", patience_s=600.0) as bench:
            sources = find_sources([str(log)])
            terms = replace(TERMS, codes=bench.judged.codes)
            with Output(out, terms) as output:
                screening = bench.screening(READER, output, NOBODY, asyncio.Event())
                await screening.run(sources, CHUNK_LINES)

    asyncio.run(run())
    return published(out)


def place_of(told: dict[str, Any]) -> tuple[int, int]:
    return told["line"], told["message"]


def kill_now_and_then(
    server: Replica, record: Path, ended: Event, killed: list[int], every_s: float
) -> None:
    """At a random moment of each of its lives, but not before it was asked something."""
    draw = random.Random(SEED)
    while len(killed) < KILLS and not ended.is_set():
        size = record.stat().st_size
        while record.stat().st_size == size and not ended.wait(0.01):
            pass
        if not ended.wait(draw.uniform(0, 2 * every_s)):
            killed.append(server.end(signal.SIGKILL))
            server.start()


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Replica]:
    with mock.patch.dict(os.environ, environment):
        server = Replica(folder, "sqlite://")  # its review items are nobody's concern here
        server.start()
        try:
            yield server
        finally:
            server.end(signal.SIGKILL)


@pytest.mark.skipif(not KILLS, reason="takes a while: GUARD_TEST_SERVER_KILLS=2 runs it")
def test_a_server_that_is_killed_meanwhile_changes_nothing(tmp_path: Path) -> None:
    log, record = made_log(tmp_path / "log.jsonl", 4 * CHUNK_LINES + 17), tmp_path / "read"
    with serving(tmp_path, GUARD_TEST_READ=str(record)) as server:
        began_s = time.monotonic()
        undisturbed = screen(log, tmp_path / "undisturbed", server.address)
        every_s = (time.monotonic() - began_s) / KILLS  # so that they are spread over all of it
        num_once = len(asked(record))
        ended, killed = Event(), list[int]()
        killer = Thread(target=kill_now_and_then, args=(server, record, ended, killed, every_s))
        killer.start()
        started_s = time.monotonic()
        disturbed = screen(log, tmp_path / "out", server.address)
        ended.set()
        killer.join()
        seconds = time.monotonic() - started_s
    assert killed == [-signal.SIGKILL] * len(killed) != []
    assert disturbed == undisturbed
    repeated = len(asked(record)) - 2 * num_once
    assert 0 <= repeated <= len(killed) * 2 * CHUNK_LINES  # a line is two messages
    print(f"{len(killed)} server kills, {num_once} read, {repeated} read again, {seconds:.0f} s")


def test_what_kills_the_engine_of_a_server_is_told_and_all_else_is_judged(tmp_path: Path) -> None:
    log, record = write_log(tmp_path / "log.jsonl", 60), str(tmp_path / "read")
    with serving(tmp_path, GUARD_TEST_READ=record) as server:
        screen(log, tmp_path / "undisturbed", server.address)
    undisturbed = rows(tmp_path / "undisturbed")
    culprit, next_one, *_ = sorted({row["unsafe_score"] for row in undisturbed})
    with serving(tmp_path, GUARD_TEST_READ=record, GUARD_TEST_DEADLY=str(next_one)) as server:
        screen(log, tmp_path / "out", server.address)
    deadly = [place_of(row) for row in undisturbed if row["unsafe_score"] == culprit]
    died = [each for each in rejects(tmp_path / "out") if "died" in each["reason"]]
    assert list(map(place_of, died)) == deadly
    assert rows(tmp_path / "out") == [row for row in undisturbed if place_of(row) not in deadly]
