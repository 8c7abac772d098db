"""What was judged before: identical conversations are judged once, and a run goes on from it.

A file beside the output, read through the page cache, so that memory stays flat however much was
judged. Nothing of it is ever wrong after a kill: what is in it was judged, what is not is judged.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Self

import lmdb

from guard_service.screening.judgement import Judgement

_MAX_BYTES = 2**40  # of address space; the file grows as it is written


class Seen:
    def __init__(self, folder: Path) -> None:
        # Without sync: a power cut may lose the latest, or all of it, and then it is judged again.
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
