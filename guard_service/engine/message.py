"""Everything that crosses between the front process and the engine process, and how it is framed.

Both ends are ours and of one version, so pickle is safe here; nothing else is ever unpickled.
"""

import pickle
import struct
from asyncio import StreamReader
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from guard_service.prompt import Prefix
from guard_service.verdict import Reading


@dataclass(frozen=True, slots=True)
class Load:
    """To the engine, once: load this checkpoint."""

    folder: Path
    device: str
    dtype: str
    num_threads: int | None


@dataclass(frozen=True, slots=True)
class Loaded:
    device: str
    dtype: str


@dataclass(frozen=True, slots=True)
class LoadFailed:
    problem: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of one prompt for one pass; the piece that ends it gets the reading."""

    key: int  # the prompt's number, used once in the life of an engine process
    prefix: Prefix
    ids: tuple[int, ...] = field(
        repr=False
    )  # these tokens follow the pieces of the same key before
    is_last: bool = True
    list_above: float = 0.5


@dataclass(frozen=True, slots=True)
class Batch:
    """To the engine: one pass over these pieces. `forgotten`: keys whose earlier pieces may go."""

    pieces: tuple[Piece, ...]
    forgotten: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchRead:
    """One reading for each piece that is the last of its prompt, in order."""

    readings: tuple[Reading, ...]
    inference_ms: float


@dataclass(frozen=True, slots=True)
class BatchFailed:
    """The batch could not be read; `problem` is an error's type and never its text."""

    problem: str


_LENGTH = struct.Struct("!I")


def frame(message: object) -> bytes:
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(payload)) + payload


async def receive(reader: StreamReader) -> Any:
    """The next message; asyncio.IncompleteReadError when the other end is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


def receive_blocking(file: BinaryIO) -> Any | None:
    """The next message, or None when the other end is gone."""
    header = file.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    payload = file.read(_LENGTH.unpack(header)[0])
    return pickle.loads(payload)
