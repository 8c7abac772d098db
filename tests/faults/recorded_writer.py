"""Writes and resolves items in SQLite, and pickles every write and sync that SQLite did for it.

python recorded_writer.py FOLDER NUM_ITEMS [PRAGMA...]

SQLite reaches files through the table of functions of its VFS; three of them, and two of the VFS's,
are replaced by ours, which write down what they were called with and then call them.
"""

import _sqlite3
import asyncio
import ctypes
import os
import pickle
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.disk import Acknowledged, Create, Delete, Step, Sync, Truncate, Write
from review_items import item
from sqlalchemy import event

from guard_service.conversation import Conversation, Message, Role
from guard_service.review.claim import Answer, Held, Reviewer
from guard_service.review.item import Outcome, Place
from guard_service.review.queue import ReviewQueue
from guard_service.review.store import ReviewStore

_SAID = Conversation((Message(Role.USER, "kept and sealed"),))

_int, _long, _pointer, _text = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p, ctypes.c_char_p
# Names as pointers: SQLite keeps them, and reads on behind them.
_OPEN = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _pointer, _int, _pointer)
_DELETE = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _int)
_WRITE = ctypes.CFUNCTYPE(_int, _pointer, _pointer, _int, _long)
_TRUNCATE = ctypes.CFUNCTYPE(_int, _pointer, _long)
_SYNC = ctypes.CFUNCTYPE(_int, _pointer, _int)


class Vfs(ctypes.Structure):
    """The beginning of `sqlite3_vfs`."""

    _fields_ = (
        ("version", _int),
        ("file_bytes", _int),
        ("max_path", _int),
        ("next", _pointer),
        ("name", _text),
        ("data", _pointer),
        ("open", _OPEN),
        ("delete", _DELETE),
    )


class Methods(ctypes.Structure):
    """`sqlite3_io_methods`."""

    _fields_ = (
        ("version", _int),
        ("close", _pointer),
        ("read", _pointer),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("others", _pointer * 13),
    )


class Recorder:
    """Everything that SQLite does to files with a name, in this process, from now on."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._names: dict[int, str] = {}  # by the address of SQLite's file
        self._methods: dict[int, Methods] = {}  # ours, by the address of SQLite's
        self._kept_alive: list[Any] = []
        self._vfs = _find_vfs()
        self._open = _OPEN(ctypes.cast(self._vfs.open, _pointer).value)
        self._delete = _DELETE(ctypes.cast(self._vfs.delete, _pointer).value)
        self._vfs.open = self._keep(_OPEN(self.opened))
        self._vfs.delete = self._keep(_DELETE(self.deleted))

    def opened(self, vfs: int, name: int | None, file: int, flags: int, out: int) -> int:
        is_new = name is not None and not os.path.exists(ctypes.string_at(name))
        failed = self._open(vfs, name, file, flags, out)
        if failed or name is None:
            return failed
        self._names[file] = _base(name)
        if is_new:
            self.steps.append(Create(self._names[file]))
        methods = ctypes.cast(file, ctypes.POINTER(_pointer))
        if methods[0] not in self._methods:
            self._methods[methods[0]] = self._ours(Methods.from_address(methods[0]))
        methods[0] = ctypes.addressof(self._methods[methods[0]])
        return 0

    def deleted(self, vfs: int, name: int, sync_folder: int) -> int:
        failed = self._delete(vfs, name, sync_folder)
        if not failed:
            self.steps.append(Delete(_base(name), bool(sync_folder)))
        return failed

    def _ours(self, theirs: Methods) -> Methods:
        ours = Methods.from_buffer_copy(theirs)

        def write(file: int, data: int, num_bytes: int, offset: int) -> int:
            self.steps.append(Write(self._names[file], offset, ctypes.string_at(data, num_bytes)))
            return theirs.write(file, data, num_bytes, offset)

        def truncate(file: int, size: int) -> int:
            self.steps.append(Truncate(self._names[file], size))
            return theirs.truncate(file, size)

        def sync(file: int, flags: int) -> int:
            failed = theirs.sync(file, flags)
            if not failed:
                self.steps.append(Sync(self._names[file]))
            return failed

        ours.write = self._keep(_WRITE(write))
        ours.truncate = self._keep(_TRUNCATE(truncate))
        ours.sync = self._keep(_SYNC(sync))
        return ours

    def _keep(self, called: Any) -> Any:
        """SQLite holds no reference."""
        self._kept_alive.append(called)
        return called


def _base(name: int) -> str:
    return os.path.basename(ctypes.string_at(name).decode())


def _find_vfs() -> Vfs:
    """That of the SQLite which Python itself uses; AttributeError where it hides its functions."""
    find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    find.restype = ctypes.POINTER(Vfs)
    return find(None).contents


async def write(recorder: Recorder, folder: Path, num_items: int, pragmas: list[str]) -> None:
    store = ReviewStore(f"sqlite:///{folder / 'guard.db'}")

    def weaken(connection: Any, _: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(store.database.engine, "connect", weaken)
    await store.start()
    queue, reviewer = ReviewQueue(store, draw=lambda: 0.9), Reviewer("ann", None)
    for number in range(num_items):
        made = item(
            number,
            created_at=datetime.now(UTC),
            conversation=_SAID,
            place=Place(keep_text_s=3600),
        )
        recorder.steps.append(Acknowledged(await store.add(made)))
        if number % 3 == 0 and (claim := await queue.claim(reviewer, 60)):
            held = Held(claim.item.id, claim.token)
            await queue.resolve(reviewer, held, Answer(Outcome.UPHELD))
    await store.stop()


if __name__ == "__main__":
    folder, num_items, *pragmas = sys.argv[1:]
    recorder = Recorder()
    asyncio.run(write(recorder, Path(folder), int(num_items), pragmas))
    (Path(folder) / "steps").write_bytes(pickle.dumps(recorder.steps))
