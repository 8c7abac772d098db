"""The output folder: a part for each chunk, readable as one data set, and our own files beside.

OUT/part-000000.parquet ...          rows; or .jsonl
OUT/_screening/manifest.jsonl        terms, and what is published
OUT/_screening/rejects.jsonl         what was not judged, and why
OUT/_screening/seen/                 what was judged, while the run goes on
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from guard_service.errors import ScreeningRefused
from guard_service.screening.asker import Answers
from guard_service.screening.chunk import Chunk, RawChunk
from guard_service.screening.judgement import Judgement
from guard_service.screening.manifest import Done, Terms, open_manifest
from guard_service.screening.row import Judged, table_of
from guard_service.screening.seen import Seen
from guard_service.screening.subject import Gap, Item

PARQUET, JSONL = "parquet", "jsonl"


def format_of(folder: Path) -> str:
    """By the name of the output: verdicts.jsonl is a folder of JSON lines, all else of Parquet."""
    return JSONL if folder.suffix == ".jsonl" else PARQUET


class Output:
    """Publishes chunks in their order, each once."""

    def __init__(self, folder: Path, terms: Terms, *, rerun: bool = False) -> None:
        self._folder, self._own, self._terms = folder, folder / "_screening", terms
        _make_room(folder, self._own, rerun=rerun)
        self._manifest = open_manifest(self._own / "manifest.jsonl", terms)
        self._rejects = (self._own / "rejects.jsonl").open("ab")
        self._rejects.truncate(self.done[-1].rejects_bytes if self.done else 0)
        self.seen = Seen(self._own / "seen")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.seen.close()
        self._rejects.close()
        self._manifest.close()

    @property
    def done(self) -> Sequence[Done]:
        return self._manifest.done

    @property
    def rejects_path(self) -> Path:
        return self._own / "rejects.jsonl"

    def check_unchanged(self, raw: RawChunk) -> None:
        """ScreeningRefused if a chunk that was published is another one now."""
        if raw.digest() != self.done[raw.number].digest:
            first, last = raw.spans[0], raw.spans[-1]
            raise _changed(
                self._folder,
                f"differs between {first.file}:{first.lines[0].number} "
                f"and {last.file}:{last.lines[-1].number}",
            )

    def check_whole(self, num_chunks: int) -> None:
        """ScreeningRefused if there is less input than was published."""
        if num_chunks < len(self.done):
            raise _changed(self._folder, "has become shorter")

    def publish(self, chunk: Chunk, answers: Answers) -> Done:
        """Rows by rename, then rejects, then the line that makes both count; each on disk."""
        answered = [(item, answers[item.digest]) for item in chunk.items]
        rows = [(item, answer) for item, answer in answered if isinstance(answer, Judgement)]
        table = table_of(rows, _judged(self._terms))
        write_part(self._folder, chunk.raw.number, table, self._terms.format)
        gaps = list(_gaps(chunk, answers))
        self._rejects.writelines(map(_reject, gaps))
        _sync(self._rejects)
        done = Done(
            number=chunk.raw.number,
            digest=chunk.digest,
            num_lines=chunk.raw.num_lines,
            num_rows=len(rows),
            num_unsafe=sum(judgement.is_unsafe for _, judgement in rows),
            num_gaps=len(gaps),
            rejects_bytes=self._rejects.tell(),
        )
        self._manifest.add(done)
        return done

    def finish(self) -> None:
        """Let go of what only a run under way needs."""
        self.seen.close()
        shutil.rmtree(self._own / "seen")


def write_part(folder: Path, number: int, table: pa.Table, kind: str) -> None:
    """A part by rename, whole and on disk."""
    with replacing(folder / f"part-{number:06}.{kind}") as file:
        if kind == JSONL:
            file.writelines(_json_lines(table))
        else:
            pq.write_table(table, file, compression="zstd")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """What is written inside is the file once it is whole and on disk."""
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:
        yield file
        _sync(file)
    os.replace(unfinished, path)
    _sync_folder(path.parent)


def _changed(folder: Path, how: str) -> ScreeningRefused:
    return ScreeningRefused(
        f"{folder}: the input {how} since this output was begun; "
        "--rerun begins anew, another OUT keeps both"
    )


def _make_room(folder: Path, own: Path, *, rerun: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not own.is_dir() and any(folder.iterdir()):
        raise ScreeningRefused(f"{folder}: holds files of something else")
    if rerun:
        for part in folder.glob("part-*"):
            part.unlink()
        shutil.rmtree(own, ignore_errors=True)
    own.mkdir(exist_ok=True)


def _gaps(chunk: Chunk, answers: Answers) -> Iterable[Gap]:
    """All that has no row, in the order of the input."""
    for entry in chunk.entries:
        if isinstance(entry, Gap):
            yield entry
        elif not isinstance(answer := answers[entry.digest], Judgement):
            yield _unjudged(entry, answer.reason)


def _unjudged(item: Item, reason: str) -> Gap:
    return Gap(item.place, reason, item.message, item.choice, item.origin.id)


def _reject(gap: Gap) -> bytes:
    values = {
        "file": gap.place.file,
        "line": gap.place.line,
        "message": gap.message,
        "choice": gap.choice,
        "id": gap.id,
        "reason": gap.reason,
    }
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _json_lines(table: pa.Table) -> Iterable[bytes]:
    for row in table.to_pylist():
        row["digest"] = row["digest"].hex()
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _judged(terms: Terms) -> Judged:
    return Judged(
        terms.policy,
        terms.policy_version,
        terms.policy_digest,
        terms.model,
        terms.model_digest,
        terms.codes,
    )


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """So that a rename is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
