"""A disk that loses its power: what was synchronised is there, of the rest any part.

Writes are kept or lost one by one, and torn by sectors. A name in the folder is there, or gone,
once the folder is synchronised; before, as many of its changes as the file system had come to.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_SECTOR = 512


@dataclass(frozen=True)
class Create:
    name: str


@dataclass(frozen=True)
class Write:
    name: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    name: str
    size: int


@dataclass(frozen=True)
class Sync:
    name: str


@dataclass(frozen=True)
class Delete:
    name: str
    is_synced: bool


@dataclass(frozen=True)
class Acknowledged:
    item_id: str


Step = Create | Write | Truncate | Sync | Delete | Acknowledged


@dataclass
class Content:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _change(self.durable, change)
        self.pending.clear()

    def after_a_cut(self, draw: random.Random, kept: float) -> bytes:
        left = bytearray(self.durable)
        for change in self.pending:
            for part in _parts(change, draw):
                if draw.random() < kept:
                    _change(left, part)
        return bytes(left)


@dataclass
class Disk:
    names: dict[str, Content] = field(default_factory=dict)
    durable_names: dict[str, Content] = field(default_factory=dict)
    changes: list[tuple[str, Content | None]] = field(default_factory=list)  # of names; None: gone

    def do(self, step: Step) -> None:
        match step:
            case Create(name):
                self._rename(name, Content())
            case Delete(name, is_synced):
                self._rename(name, None)
                if is_synced:
                    self._sync_folder()
            case Write(name) | Truncate(name):
                self.names[name].pending.append(step)
            case Sync(name):
                self.names[name].sync()
                # SQLite synchronises the folder with a journal that is new in it.
                if name.endswith("-journal") and (name, self.names[name]) in self.changes:
                    self._sync_folder()

    def cut(self, draw: random.Random, folder: Path) -> None:
        """Write into `folder` what is left of the files when the power goes now."""
        names, kept = dict(self.durable_names), draw.choice((0.0, 0.5, 1.0, draw.random()))
        for name, content in self.changes[: draw.randint(0, len(self.changes))]:
            _apply(names, name, content)
        for name, content in names.items():
            (folder / name).write_bytes(content.after_a_cut(draw, kept))

    def _rename(self, name: str, content: Content | None) -> None:
        _apply(self.names, name, content)
        self.changes.append((name, content))

    def _sync_folder(self) -> None:
        self.durable_names = dict(self.names)
        self.changes.clear()


def _apply(names: dict[str, Content], name: str, content: Content | None) -> None:
    if content is None:
        names.pop(name, None)
    else:
        names[name] = content


def _change(data: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del data[change.size :]
        data.extend(bytes(change.size - len(data)))
    else:
        data.extend(bytes(max(change.offset - len(data), 0)))
        data[change.offset : change.offset + len(change.data)] = change.data


def _parts(change: Write | Truncate, draw: random.Random) -> Iterable[Write | Truncate]:
    if isinstance(change, Truncate) or draw.random() < 0.5:
        return [change]
    offsets = range(0, len(change.data), _SECTOR)
    return [
        Write(change.name, change.offset + at, change.data[at : at + _SECTOR]) for at in offsets
    ]
