"""An engine process without a model: readings follow from the ids alone, faults from marks in them.

Speaks the real protocol over the real socket, so that all around the model is the real thing.
"""

import math
import os
import random
import signal
import socket
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5

from guard_service.engine.message import Batch, BatchRead, Loaded, Piece, frame, receive_blocking
from guard_service.verdict import Reading

RECORD = os.environ.get("GUARD_TEST_READ")  # a file for the digests of all that was read
DEADLY = float(os.environ.get("GUARD_TEST_DEADLY", "0"))  # prompts of a lower score kill it
FIRST_MARK = 1_000_000  # ids from here on are no token of any vocabulary


def score_of(ids: tuple[int, ...]) -> float:
    """The unsafe score of a prompt: nearly no two prompts have the same."""
    return zlib.crc32(repr(ids).encode()) / 2**32


def _exit(_: BatchRead) -> BatchRead:
    os._exit(70)


def _segv(_: BatchRead) -> BatchRead:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def _hang(_: BatchRead) -> BatchRead:
    while True:
        time.sleep(60)


def _stop(read: BatchRead) -> BatchRead:
    os.kill(os.getpid(), signal.SIGSTOP)
    return read


def _nan(read: BatchRead) -> BatchRead:
    return _each(read, unsafe_score=math.nan)


def _out_of_range(read: BatchRead) -> BatchRead:
    return _each(read, unsafe_score=1.7)


def _no_mass(read: BatchRead) -> BatchRead:
    return _each(read, label_mass=0.01)


def _short(read: BatchRead) -> BatchRead:
    return replace(read, readings=read.readings[1:])


def _other_rows(read: BatchRead) -> BatchRead:
    return replace(read, keys=tuple(key + 1 for key in read.keys))


def _not_a_message(_: BatchRead) -> object:
    return random.randbytes(40)


def _each(read: BatchRead, **values: float) -> BatchRead:
    return replace(read, readings=tuple(replace(r, **values) for r in read.readings))


DEATHS: tuple[Callable[[BatchRead], object], ...] = (
    _exit,
    _segv,
    _hang,
    _stop,
    _short,
    _other_rows,
    _not_a_message,
)
GARBAGE: tuple[Callable[[BatchRead], object], ...] = (_nan, _out_of_range, _no_mass)
FAULTS = (*DEATHS, *GARBAGE)


def main() -> None:
    held: dict[int, tuple[int, ...]] = {}
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        receive_blocking(connection)
        connection.sendall(frame(Loaded("cpu", "none")))
        while (batch := receive_blocking(connection)) is not None:
            connection.sendall(_framed(_answer(batch, held)))


def _answer(batch: Batch, held: dict[int, tuple[int, ...]]) -> object:
    time.sleep(random.uniform(0, 0.004))
    wholes = [_whole(piece, held) for piece in batch.pieces]
    if any(score_of(ids) < DEADLY for ids in wholes if ids):
        os._exit(70)
    readings = tuple(
        _read(piece, whole)
        for piece, whole in zip(batch.pieces, wholes, strict=True)
        if piece.is_last
    )
    _record(wholes)
    keys = tuple(piece.key for piece in batch.pieces if piece.is_last)
    read: object = BatchRead(keys, readings, 2.0)
    marks = {id_ for piece in batch.pieces for id_ in piece.ids if id_ >= FIRST_MARK}
    for mark in sorted(marks):
        if isinstance(read, BatchRead):
            read = FAULTS[mark - FIRST_MARK](read)
    return read


def _whole(piece: Piece, held: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
    held[piece.key] = held.get(piece.key, ()) + piece.ids
    return held.pop(piece.key) if piece.is_last else ()


def _read(piece: Piece, ids: tuple[int, ...]) -> Reading:
    codes = piece.prefix.codes
    # Who read it goes along as a code that no policy has.
    signed = () if RECORD else (f"pid{os.getpid()}",)
    return Reading(score_of(ids), 1.0, (1.0, *[0.0] * (len(codes) - 1)), signed)


def _record(wholes: list[tuple[int, ...]]) -> None:
    if RECORD:
        with open(RECORD, "ab", buffering=0) as file:
            file.write(b"".join(md5(repr(ids).encode()).digest() for ids in wholes if ids))


def _framed(answer: object) -> bytes:
    return len(answer).to_bytes(4) + answer if isinstance(answer, bytes) else frame(answer)


if __name__ == "__main__":
    main()
