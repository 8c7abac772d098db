"""The manifest of a run: what decides its output, then a line for each chunk that is published.

A chunk is done when its line is whole and on disk. What a kill left behind without one is written
again under the same name.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

import orjson

from guard_service.errors import ScreeningRefused

_TOLD = ("threshold", "thresholds")  # follow from the policy's digest


@dataclass(frozen=True, slots=True)
class Terms:
    """Equal terms and equal input: equal output."""

    inputs: tuple[str, ...]
    judge: tuple[str, ...]
    mapping: str  # digest of the mapping file; empty without one
    policy: str
    policy_version: str
    policy_digest: str
    list_above: float
    codes: tuple[str, ...]
    model: str
    model_digest: str
    format: str
    version: int = 2  # of the rows, of this file and of the answers kept
    threshold: float = 0.5
    thresholds: tuple[float | None, ...] = ()  # as the codes; None: follows the base decision
    review: str = ""  # which rows were put before people; empty: none
    tenant: str = ""  # whose they are there


def terms_of(values: Mapping[str, Any]) -> Terms:
    """As the manifest's first line tells them."""
    told: dict[str, Any] = {
        name: tuple(each) if isinstance(each, list) else each for name, each in values.items()
    }
    return Terms(**told)


@dataclass(frozen=True, slots=True)
class Done:
    """A chunk that is published, and how far all are, it included."""

    number: int
    digest: str
    num_lines: int
    num_rows: int
    num_unsafe: int
    num_gaps: int
    rejects_bytes: int


class Manifest:
    """Belongs to one process: a second one that would write the same output is refused."""

    def __init__(self, file: IO[bytes], done: list[Done]) -> None:
        self._file = file
        self.done = done

    def add(self, done: Done) -> None:
        _append(self._file, asdict(done))
        self.done.append(done)

    def close(self) -> None:
        self._file.close()


def open_manifest(path: Path, terms: Terms) -> Manifest:
    """The manifest of these terms, taken up or begun; ScreeningRefused where others are in it."""
    file = path.open("a+b")
    try:
        _lock(file, path)
        lines = list(_whole_lines(file))
        if lines:
            _check_terms(path, terms_of(orjson.loads(lines[0])), terms)
        else:
            _append(file, asdict(terms))
        return Manifest(file, [Done(**orjson.loads(line)) for line in lines[1:]])
    except BaseException:
        file.close()
        raise


def _whole_lines(file: IO[bytes]) -> Iterable[bytes]:
    """All complete lines; half a line, which a kill left, is cut off."""
    file.seek(0)
    *lines, torn = file.read().split(b"\n")
    file.truncate(file.tell() - len(torn))
    return lines


def _append(file: IO[bytes], values: dict[str, object]) -> None:
    file.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))
    file.flush()
    os.fsync(file.fileno())


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ScreeningRefused(f"{path}: another guard screen is writing this output") from None


def _check_terms(path: Path, before: Terms, now: Terms) -> None:
    deciding = [each.name for each in fields(Terms) if each.name not in _TOLD]
    changed = [name for name in deciding if getattr(before, name) != getattr(now, name)]
    if changed:
        raise ScreeningRefused(
            f"{path}: was begun with another {', '.join(changed)}; "
            "--rerun begins anew, another OUT keeps both"
        )
