"""Readings that need no pass: of a prompt that is under way, or that was read before.

Both stay within one caller, so that nobody learns from a fast answer what another has asked. Keys
are keyed hashes: no text and no ids are kept.
"""

import hashlib
import secrets
import sys
from array import array
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakValueDictionary

from guard_service.batching.entry import Caller, Entry, Lane
from guard_service.errors import ReadingRejected
from guard_service.prompt import Prompt
from guard_service.verdict import Reading, check_reading

_ENTRY_BYTES = 400  # the dictionary's own, the key's and the objects' overhead, measured


@dataclass(frozen=True, slots=True)
class _Kept:
    reading: Reading
    list_above: float
    num_bytes: int


class Reuse:
    """Shares what is under way; keeps up to `max_bytes` of readings, the latest used."""

    def __init__(self, max_bytes: int = 0, min_label_mass: float = 0.0) -> None:
        self._max_bytes = max_bytes
        self._min_label_mass = min_label_mass
        self._secret = secrets.token_bytes(32)
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._under_way: WeakValueDictionary[tuple[Lane, bytes], Entry] = WeakValueDictionary()
        self.num_bytes = 0
        self.num_hits = 0
        self.num_shared = 0

    def digest(self, prompt: Prompt, caller: Caller) -> bytes:
        hashed = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in (caller.name.encode(), array("I", prompt.prefix.ids), array("I", prompt.ids)):
            hashed.update(len(part).to_bytes(8))
            hashed.update(part)
        return hashed.digest()

    def find(self, digest: bytes, list_above: float) -> Reading | None:
        """A kept reading that holds at least what is asked for."""
        kept = self._kept.get(digest)
        if kept is None or kept.list_above > list_above:
            return None
        self._kept.move_to_end(digest)
        self.num_hits += 1
        return kept.reading

    def find_entry(self, lane: Lane, digest: bytes, list_above: float) -> Entry | None:
        """An entry still to be read that will hold at least what is asked for."""
        entry = self._under_way.get((lane, digest))
        # One that nobody wants any more may have been dropped already.
        if entry is None or not entry.is_wanted or entry.prompt.list_above > list_above:
            return None
        self.num_shared += 1
        return entry

    def share(self, entry: Entry) -> None:
        self._under_way[entry.caller.lane, entry.digest] = entry

    def keep(self, entry: Entry, reading: Reading) -> None:
        """Keep a reading that can be trusted, and let the least used go."""
        if not self._max_bytes:
            return
        with suppress(ReadingRejected):
            check_reading(reading, self._min_label_mass)
            self._drop(entry.digest)
            num_bytes = _ENTRY_BYTES + _num_bytes(reading)
            self._kept[entry.digest] = _Kept(reading, entry.prompt.list_above, num_bytes)
            self.num_bytes += num_bytes
            while self.num_bytes > self._max_bytes:
                self._drop(next(iter(self._kept)))

    def _drop(self, digest: bytes) -> None:
        if kept := self._kept.pop(digest, None):
            self.num_bytes -= kept.num_bytes


def _num_bytes(reading: Reading) -> int:
    scores = reading.first_scores
    return sys.getsizeof(scores) + sum(map(sys.getsizeof, scores)) + sys.getsizeof(reading.listed)
