"""Everything that crosses between the front process and the engine process, and how it is framed.

Both ends are ours and of one version, so pickle is safe here; nothing else is ever unpickled.
"""

import pickle
import socket
import struct
from asyncio import StreamReader
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from guard_service.prompt import Prefix, Prompt
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
    load_ms: float = 0
    num_weight_bytes: int = 0
    num_peak_bytes: int = 0  # of the device's memory, or of the process on a CPU, while loading


@dataclass(frozen=True, slots=True)
class LoadFailed:
    problem: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of one prompt for one pass; the piece that ends it gets the reading."""

    key: int  # the prompt's number, used once in the life of an engine process
    prefix: Prefix
    ids: tuple[int, ...] = field(repr=False)  # follow the pieces of the same key before
    is_last: bool = True
    list_above: float = 0.5

    @classmethod
    def whole(cls, key: int, prompt: Prompt) -> "Piece":
        return cls(key, prompt.prefix, prompt.ids, list_above=prompt.list_above)


@dataclass(frozen=True, slots=True)
class Batch:
    """To the engine: one pass over these pieces. `forgotten`: keys whose earlier pieces may go.

    Heartbeats, known prompts and suspects go alone.
    """

    pieces: tuple[Piece, ...]
    forgotten: tuple[int, ...] = ()
    is_alone: bool = False  # no list rides in it or waits past it: its death has one cause


@dataclass(frozen=True, slots=True)
class BatchRead:
    """Readings that a pass finished, each with its prompt's key, in the order that was asked.

    A prompt of the pass that misses is still having its list written while the next pass goes
    through; with nothing more under way none misses.
    """

    keys: tuple[int, ...]
    readings: tuple[Reading, ...]
    inference_ms: float
    num_bytes: int = 0  # of memory that the engine holds; only in the answer to a heartbeat


@dataclass(frozen=True, slots=True)
class BatchFailed:
    """The batch could not be read; `problem` is an error's type and never its text."""

    problem: str


class Engine(Protocol):
    """The engine process as the front needs it."""

    loaded: Loaded

    @property
    def pid(self) -> int: ...
    async def read(self, batch: Batch) -> BatchRead: ...
    async def ping(self, limit_s: float) -> int: ...
    async def wait_dead(self) -> int: ...
    def kill(self) -> None: ...
    async def stop(self) -> None: ...


_LENGTH = struct.Struct("!I")


def frame(message: object) -> bytes:
    payload = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(payload)) + payload


async def receive(reader: StreamReader) -> Any:
    """The next message; asyncio.IncompleteReadError when the other end is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


def receive_blocking(connection: socket.socket) -> Any | None:
    """The next message, or None when the other end is gone."""
    header = _read_exactly(connection, _LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    return pickle.loads(_read_exactly(connection, *_LENGTH.unpack(header)))


def _read_exactly(connection: socket.socket, num_bytes: int) -> bytearray:
    """Nothing is read ahead, so the socket itself tells whether a message waits."""
    received = bytearray()
    while len(received) < num_bytes and (part := connection.recv(num_bytes - len(received))):
        received += part
    return received
