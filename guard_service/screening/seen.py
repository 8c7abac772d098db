"""What was judged before: identical conversations are judged once, and a run goes on from it.

A file beside the output, read through the page cache, so that memory stays flat however much was
judged. Nothing of it is ever wrong after a kill: what is in it was judged, what is not is judged.
After a power cut it could be wrong, so it is begun anew wherever the machine has started since.
"""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Self

import lmdb
import psutil

from guard_service.screening.judgement import Judgement

_MAX_BYTES = 2**40  # of address space; the file grows as it is written


class Seen:
    def __init__(self, folder: Path, start: str | None = None) -> None:
        _make_room(folder, start or start_of_machine())
        # Without sync it is whole for as long as the system lives.
        self._store = lmdb.open(str(folder), map_size=_MAX_BYTES, sync=False, lock=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def find(self, digests: Collection[bytes]) -> dict[bytes, Judgement]:
        """What is known of these."""
        with self._store.begin(buffers=True) as reading:
            found = reading.cursor().getmulti(sorted(digests))
            return {bytes(digest): Judgement.from_bytes(bytes(data)) for digest, data in found}

    def add(self, judged: Mapping[bytes, Judgement]) -> None:
        pairs = [(digest, judgement.to_bytes()) for digest, judgement in sorted(judged.items())]
        with self._store.begin(write=True) as writing:
            writing.cursor().putmulti(pairs)


def start_of_machine() -> str:
    """Another one after each start."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        return str(psutil.boot_time())


def _make_room(folder: Path, start: str) -> None:
    """Keep what was written since this start of the machine, and nothing older."""
    mark = folder / "start"
    if mark.is_file() and mark.read_text() == start:
        return
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    mark.write_text(start)
