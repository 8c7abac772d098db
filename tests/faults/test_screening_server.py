"""A screening through a server that is killed and started again meanwhile."""

import asyncio
import os
import random
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from unittest import mock

import pytest
from benchmarks.bench_screening import make_log
from faults.replica import Replica
from screened import CHUNK_LINES, NOBODY, READER, TERMS, asked, published, write_log
from shared_data import shared_file

from guard_service.judging import judging_there
from guard_service.screening.output import Output
from guard_service.screening.source import find_sources

KILLS = int(os.environ.get("GUARD_TEST_SERVER_KILLS", "0"))
LINES = int(os.environ.get("GUARD_TEST_SCREEN_LINES", "0"))  # of the sample, each unlike any other


def screen(log: Path, out: Path, address: str) -> dict[str, str]:
    """What is published of the log as the server judges it."""

    async def run() -> None:
        async with judging_there(address, "", patience_s=120.0) as bench:
            sources = find_sources([str(log)])
            terms = replace(TERMS, codes=bench.judged.codes)
            with Output(out, terms) as output:
                screening = bench.screening(READER, output, NOBODY, asyncio.Event())
                await screening.run(sources, CHUNK_LINES)

    asyncio.run(run())
    return published(out)


def kill_now_and_then(server: Replica, ended: Event, killed: list[int]) -> None:
    draw = random.Random(KILLS)
    while len(killed) < KILLS and not ended.wait(draw.uniform(0, 1)):
        killed.append(server.end(signal.SIGKILL))
        server.start()


@pytest.mark.skipif(not KILLS, reason="takes over a minute: GUARD_TEST_SERVER_KILLS=2 runs it")
def test_a_server_that_is_killed_meanwhile_changes_nothing(tmp_path: Path) -> None:
    log, record = tmp_path / "log.jsonl", tmp_path / "read"
    if LINES:
        make_log(shared_file("data/chatlog_sample.jsonl"), log, LINES)
    else:
        write_log(log, 4 * CHUNK_LINES + 17)
    with mock.patch.dict(os.environ, GUARD_TEST_READ=str(record)):
        server = Replica(tmp_path)
        server.start()
        try:
            undisturbed = screen(log, tmp_path / "undisturbed", server.address)
            num_once = len(asked(record))
            ended, killed = Event(), list[int]()
            killer = Thread(target=kill_now_and_then, args=(server, ended, killed))
            killer.start()
            disturbed = screen(log, tmp_path / "out", server.address)
            ended.set()
            killer.join()
        finally:
            server.end(signal.SIGKILL)
    assert killed == [-signal.SIGKILL] * len(killed) != []
    assert disturbed == undisturbed
    times = Counter(asked(record)[num_once:])
    repeated = sum(times.values()) - len(times)
    assert 0 <= repeated <= len(killed) * 2 * CHUNK_LINES  # a line is two messages
    print(f"{len(killed)} server kills, {num_once} read, {repeated} read again")
