"""The texts of examples, looked up in the inputs: the output itself has none.

A text is shown only if its digest is that of the row: an input that changed meanwhile gives none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from guard_service.conversation import Message
from guard_service.errors import ScreeningRefused
from guard_service.screening.chunk import LineReader
from guard_service.screening.example import Example
from guard_service.screening.source import STDIN, Reader, Source, find_sources
from guard_service.screening.subject import Item, Place

_MAX_MESSAGES = 3
_MAX_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Said:
    role: str
    text: str = field(repr=False)
    num_left_out: int  # characters behind it


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The end of a conversation; the last message is the one that was judged."""

    said: tuple[Said, ...]
    num_earlier: int  # messages before it


def find_excerpts(
    examples: Iterable[Example], inputs: Iterable[str], reader: LineReader
) -> dict[str, Excerpt]:
    """By digest, of those whose lines are still where they were."""
    wanted: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for example in examples:
        wanted[example.file][example.line].add(example.digest)
    found: dict[str, Excerpt] = {}
    for source in _sources(inputs):
        if source.name in wanted:
            found |= _read(source, wanted.pop(source.name), reader)
    return found


def _sources(inputs: Iterable[str]) -> Iterator[Source]:
    for name in inputs:
        if name == STDIN:
            continue
        try:
            yield from find_sources([name])
        except ScreeningRefused:  # it is gone
            continue


def _read(
    source: Source, wanted: Mapping[int, set[str]], reader: LineReader
) -> Iterator[tuple[str, Excerpt]]:
    num_left = len(wanted)
    for line in Reader(source):
        if line.number not in wanted:
            continue
        for entry in reader.read_line(Place(source.name, line.number), line):
            if isinstance(entry, Item) and entry.digest.hex() in wanted[line.number]:
                yield entry.digest.hex(), _excerpt(entry)
        num_left -= 1
        if not num_left:
            return


def _excerpt(item: Item) -> Excerpt:
    messages = item.conversation.messages
    return Excerpt(
        tuple(map(_said, messages[-_MAX_MESSAGES:])), max(len(messages) - _MAX_MESSAGES, 0)
    )


def _said(message: Message) -> Said:
    calls = [f"{call.name}({call.arguments_json})" for call in message.tool_calls]
    text = "\n".join([message.content, *calls] if message.content else calls)
    return Said(message.role.value, text[:_MAX_CHARS], max(len(text) - _MAX_CHARS, 0))
