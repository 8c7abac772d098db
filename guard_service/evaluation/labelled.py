"""Rows that people labelled: records to conversations and what is true of them.

A row that does not hold together is a Rejected with its line, never with its text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from guard_service.conversation import Conversation, Limits, Role, check_conversation
from guard_service.errors import InvalidRequest, Violation
from guard_service.evaluation.dataset import Example, read_examples
from guard_service.evaluation.record import Record, Unread, read_records
from guard_service.language import is_unsupported
from guard_service.screening.messages import read_conversation

_CODE = re.compile(r"S[1-9][0-9]?")
# A file on the operator's own disk is not a stranger's request: any size is read.
_NO_LIMITS = Limits(max_messages=2**62, max_conversation_bytes=2**62)


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A conversation and what is true of its last message."""

    conversation: Conversation
    is_unsafe: bool
    codes: tuple[str, ...] = ()  # of an unsafe row; empty: the source does not say
    id: str = ""
    source: str = ""
    lang: str = ""
    dataset: str = ""  # whose columns the row has
    tags: tuple[str, ...] = ()  # what the data set itself calls it
    line: int = 0

    @property
    def role(self) -> Role:
        """Who is judged."""
        return self.conversation.judged.role


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row, or one side of it, that is not evaluated."""

    line: int
    reason: str


def read_labelled(path: Path) -> Iterator[LabelledRow | Rejected]:
    """All that a file labels, in order; InvalidRequest where it cannot be opened."""
    for record in read_records(path):
        if isinstance(record, Unread):
            yield Rejected(record.line, record.reason)
        else:
            yield from _read(record)


def require_labelled(path: Path) -> Iterator[LabelledRow]:
    """The rows of a file that must be whole: InvalidRequest names the line that is not."""
    for row in read_labelled(path):
        if isinstance(row, Rejected):
            raise _refusal(f"{path}:{row.line}", row.reason)
        yield row


def with_language(row: LabelledRow) -> LabelledRow:
    """A row that says no language is told apart only by whether the model was made for it."""
    if row.lang:
        return row
    is_foreign = is_unsupported(row.conversation.judged.content)
    return replace(row, lang="unsupported" if is_foreign else "supported")


def _read(record: Record) -> Iterator[LabelledRow | Rejected]:
    try:
        for example in read_examples(record.values):
            try:
                yield _row(record.line, example)
            except InvalidRequest as error:
                yield Rejected(record.line, str(error))
    except InvalidRequest as error:
        yield Rejected(record.line, str(error))


def _row(line: int, example: Example) -> LabelledRow:
    if example.unsafe is None:
        raise _refusal("label", "is empty")
    conversation = read_conversation(example.messages)
    check_conversation(conversation, _NO_LIMITS)
    if example.role not in (None, conversation.judged.role.value):
        raise _refusal("role", "is not the role of the last message")
    return LabelledRow(
        conversation=conversation,
        is_unsafe=example.unsafe,
        codes=_codes(example.categories, is_unsafe=example.unsafe),
        id=_text(example.id, "id"),
        source=_text(example.source, "source"),
        lang=_text(example.lang, "lang"),
        dataset=example.dataset,
        tags=example.tags,
        line=line,
    )


def _codes(value: object, *, is_unsafe: bool) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(_is_code(code) for code in value):
        raise _refusal("categories", "must be a list of codes such as S1")
    if value and not is_unsafe:
        raise _refusal("categories", "must be empty where unsafe is false")
    return tuple(dict.fromkeys(value))


def _is_code(value: object) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _text(value: object, key: str) -> str:
    """A field that may be absent or null, as text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refusal(key, "must be a string")
    return value


def _refusal(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(place, problem),))
