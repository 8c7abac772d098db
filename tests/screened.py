"""A screening with a scripted judge; as a program, one that is killed after so many milliseconds.

python screened.py LOG OUT ASKED MILLISECONDS [DATABASE_URL]
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from scripted_judge import JUDGED, ScriptedJudge

from guard_service.config import Settings
from guard_service.review.store import ReviewStore
from guard_service.screening import chunk
from guard_service.screening.chunk import LineReader, cut
from guard_service.screening.judge import Judge
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.manifest import Terms
from guard_service.screening.output import Output
from guard_service.screening.referral import Referral
from guard_service.screening.run import Screening
from guard_service.screening.source import Source, find_sources
from guard_service.screening.subject import DIGEST_BYTES, Item, Subject
from guard_service.startup import load_policies

CHUNK_LINES = 500
TERMS = Terms(
    inputs=(),
    judge=(),
    mapping="",
    policy=JUDGED.policy,
    policy_version=JUDGED.policy_version,
    policy_digest=JUDGED.policy_digest,
    list_above=0.5,
    codes=JUDGED.codes,
    model=JUDGED.model,
    model_digest=JUDGED.model_digest,
    format="jsonl",
)
POLICY = load_policies(Settings())["default"]
READER = LineReader(frozenset({Subject.LAST_USER, Subject.REPLY}))


def screen(
    inputs: Sequence[Path | str],
    out: Path,
    judge: Judge | None = None,
    *,
    stopping: asyncio.Event | None = None,
    rerun: bool = False,
    format: str = "jsonl",
    review: tuple[str, float | None] | None = None,
) -> None:
    """Screen in chunks of a few lines; `review` is a database, and the share that goes there."""
    sources = find_sources([str(each) for each in inputs])
    terms = replace(TERMS, inputs=tuple(source.name for source in sources), format=format)
    with (
        mock.patch.object(chunk, "MAX_LINES", CHUNK_LINES),
        Output(out, terms, rerun=rerun) as output,
    ):
        screening = Screening(READER, judge or ScriptedJudge(), output)
        if stopping is not None:
            screening = replace(screening, stopping=stopping)
        asyncio.run(_run(screening, sources, review))
        output.finish()


async def _run(
    screening: Screening, sources: Sequence[Source], review: tuple[str, float | None] | None
) -> None:
    if review is None:
        return await screening.run(cut(sources))
    url, share = review
    async with opened_store(url) as store:
        referral = Referral(store, POLICY, JUDGED.model, share)
        await replace(screening, referral=referral).run(cut(sources))


@asynccontextmanager
async def opened_store(url: str) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(url)
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


class Recording(ScriptedJudge):
    """Takes a moment for each slice, then notes on disk what it has answered."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        await asyncio.sleep(0.005)
        os.write(self._file, b"".join(item.digest for item in items))
        return await super().judge(items)


def asked(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[n : n + DIGEST_BYTES] for n in range(0, len(data), DIGEST_BYTES)]


def main() -> None:
    log, out, record, milliseconds, *database = sys.argv[1:]
    kill = threading.Timer(float(milliseconds) / 1000, os.kill, (os.getpid(), signal.SIGKILL))
    kill.daemon = True
    kill.start()
    review = (database[0], None) if database else None
    screen([log], Path(out), Recording(Path(record)), review=review)


if __name__ == "__main__":
    main()
