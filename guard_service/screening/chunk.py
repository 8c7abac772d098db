"""Input cut into chunks, always at the same places, and what each of them has to be judged."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count

import orjson

from guard_service.errors import InvalidRequest
from guard_service.screening.shape import Shape, find_shape
from guard_service.screening.source import Line, Reader, Source
from guard_service.screening.subject import Gap, Item, Place, Subject, items_of

MAX_LINES = 4096
_MAX_BYTES = 32 * 2**20

# What readers of shapes meet in a line that is not of their shape after all.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of one file, one after the other."""

    file: str
    lines: tuple[Line, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RawChunk:
    number: int
    spans: tuple[Span, ...]
    num_bytes: int  # of the inputs as stored that were read up to its end

    @property
    def num_lines(self) -> int:
        return sum(len(span.lines) for span in self.spans)

    def digest(self) -> str:
        """Equal for the same lines of the same files."""
        hashed = blake2b(digest_size=16)
        for span in self.spans:
            hashed.update(f"{span.file}\0{span.lines[0].number}\0".encode())
            for line in span.lines:
                hashed.update(b"%d\0%b" % (len(line.data), line.problem.encode()))
                hashed.update(line.data)
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class Chunk:
    raw: RawChunk
    digest: str
    entries: tuple[Item | Gap, ...]  # in the order of the input

    @property
    def items(self) -> list[Item]:
        return [entry for entry in self.entries if isinstance(entry, Item)]


@dataclass(frozen=True, slots=True)
class LineReader:
    subjects: frozenset[Subject]
    shape: Shape | None = None  # of a mapping file; None: told by each line

    def read_chunk(self, raw: RawChunk) -> Chunk:
        entries = tuple(
            entry
            for span in raw.spans
            for line in span.lines
            for entry in self.read_line(Place(span.file, line.number), line)
        )
        return Chunk(raw, raw.digest(), entries)

    def read_line(self, place: Place, line: Line) -> Sequence[Item | Gap]:
        """At least one for each line."""
        if line.problem:
            return (Gap(place, line.problem),)
        try:
            values = orjson.loads(line.data)
        except orjson.JSONDecodeError:
            return (Gap(place, _why_not_json(line.data)),)
        if not isinstance(values, dict):
            return (Gap(place, "not a JSON object"),)
        shape = self.shape or find_shape(values)
        if shape is None:
            return (Gap(place, "of no known shape"),)
        try:
            transcripts = shape.read(values)
            entries = [
                entry
                for choice, transcript in enumerate(transcripts)
                for entry in items_of(place, transcript, self.subjects, choice)
            ]
        except InvalidRequest as error:
            return (Gap(place, str(error)),)
        except _MALFORMED:
            return (Gap(place, f"not a line of the shape {shape.name}"),)
        return entries or (Gap(place, "nothing to judge"),)


def cut(sources: Sequence[Source]) -> Iterator[RawChunk]:
    """All lines of all sources in order; a chunk may begin in one file and end in another."""
    numbers, before = count(), 0
    spans: list[Span] = []
    lines: list[Line] = []
    room, room_bytes = MAX_LINES, _MAX_BYTES
    for source in sources:
        reader = Reader(source)
        for line in reader:
            lines.append(line)
            room, room_bytes = room - 1, room_bytes - len(line.data)
            if room <= 0 or room_bytes <= 0:
                spans.append(Span(source.name, tuple(lines)))
                yield RawChunk(next(numbers), tuple(spans), before + reader.num_bytes)
                spans, lines = [], []
                room, room_bytes = MAX_LINES, _MAX_BYTES
        if lines:
            spans.append(Span(source.name, tuple(lines)))
            lines = []
        before += source.num_bytes or 0
    if spans:
        yield RawChunk(next(numbers), tuple(spans), before)


def _why_not_json(data: bytes) -> str:
    if not data.strip():
        return "blank"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "not JSON"
