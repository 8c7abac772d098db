"""The output folder: a part for each chunk, readable as one data set, and our own files beside.

OUT/part-000000.parquet ...          rows; or .jsonl
OUT/_screening/manifest.jsonl        terms, and what is published
OUT/_screening/rejects.jsonl         what was not judged, and why
OUT/_screening/seen/                 what was judged, while the run goes on
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from guard_service.errors import ScreeningRefused
from guard_service.screening.chunk import RawChunk
from guard_service.screening.finished import JSONL, PARQUET, Finished, part_of
from guard_service.screening.manifest import Done, Terms, open_manifest


def format_of(folder: Path) -> str:
    """By the name of the output: verdicts.jsonl is a folder of JSON lines, all else of Parquet."""
    return JSONL if folder.suffix == ".jsonl" else PARQUET


@dataclass(frozen=True, slots=True)
class Published:
    """What an earlier run published, to which the input must still lead."""

    folder: Path
    done: tuple[Done, ...]

    def has(self, raw: RawChunk) -> bool:
        """Whether it is published; ScreeningRefused if it was another chunk then."""
        if raw.number >= len(self.done):
            return False
        if raw.digest() != self.done[raw.number].digest:
            first, last = raw.spans[0], raw.spans[-1]
            raise self._changed(
                f"differs between {first.file}:{first.lines[0].number} "
                f"and {last.file}:{last.lines[-1].number}"
            )
        return True

    def check_whole(self, num_chunks: int) -> None:
        """ScreeningRefused if there is less input than was published."""
        if num_chunks < len(self.done):
            raise self._changed("has become shorter")

    def _changed(self, how: str) -> ScreeningRefused:
        return ScreeningRefused(
            f"{self.folder}: the input {how} since this output was begun; "
            "--rerun begins anew, another OUT keeps both"
        )


class Output:
    """Publishes chunks in their order, each once."""

    def __init__(self, folder: Path, terms: Terms, *, rerun: bool = False) -> None:
        self._folder, self._own, self.terms = folder, folder / "_screening", terms
        _make_room(folder, self._own, rerun=rerun)
        self._manifest = open_manifest(self._own / "manifest.jsonl", terms)
        done = self._manifest.done
        self._rejects = (self._own / "rejects.jsonl").open("ab")
        self._rejects.truncate(done[-1].rejects_bytes if done else 0)
        self.published = Published(folder, tuple(done))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rejects.close()
        self._manifest.close()

    @property
    def seen_path(self) -> Path:
        """Where answers are kept until the output is whole."""
        return self._own / "seen"

    def publish(self, finished: Finished) -> Done:
        """Rows by rename, then rejects, then the line that makes both count; each on disk."""
        number = finished.number
        assert number == len(self._manifest.done), "This is a bug: a chunk out of turn."
        write_file(self._folder / f"part-{number:06}.{self.terms.format}", finished.part)
        self._rejects.write(finished.rejects)
        _sync(self._rejects)
        done = Done(
            number=number,
            digest=finished.digest,
            num_lines=finished.num_lines,
            num_rows=finished.num_rows,
            num_unsafe=finished.num_unsafe,
            num_gaps=finished.num_gaps,
            rejects_bytes=self._rejects.tell(),
        )
        self._manifest.add(done)
        return done

    def finish(self) -> None:
        """Let go of what only a run under way needs."""
        shutil.rmtree(self.seen_path, ignore_errors=True)


def write_part(folder: Path, number: int, table: pa.Table, kind: str) -> None:
    """A part by rename, whole and on disk."""
    write_file(folder / f"part-{number:06}.{kind}", part_of(table, kind))


def write_file(path: Path, data: bytes) -> None:
    """A file by rename, whole and on disk."""
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:
        file.write(data)
        _sync(file)
    os.replace(unfinished, path)
    _sync_folder(path.parent)


def _make_room(folder: Path, own: Path, *, rerun: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not own.is_dir() and any(folder.iterdir()):
        raise ScreeningRefused(f"{folder}: holds files of something else")
    if rerun:
        for part in folder.glob("part-*"):
            part.unlink()
        shutil.rmtree(own, ignore_errors=True)
    own.mkdir(exist_ok=True)


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
