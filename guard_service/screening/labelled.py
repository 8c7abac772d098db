"""Rows that people labelled: JSON lines to conversations and what is true of them.

A line that does not hold together is refused with its file and number, never with its text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard_service.conversation import Conversation, Limits, Role, check_conversation
from guard_service.errors import InvalidRequest, Violation
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

    @property
    def role(self) -> Role:
        """Who is judged."""
        return self.conversation.judged.role


def read_labelled(path: Path) -> Iterator[LabelledRow]:
    """The rows of a JSON lines file, one by one; InvalidRequest names the line that is wrong."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidRequest((Violation(str(path), error.strerror or "cannot be read"),)) from None
    with file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _row(line, f"{path}:{number}")


def _row(line: bytes, place: str) -> LabelledRow:
    values = _object(line, place)
    unsafe = values.get("unsafe")
    if not isinstance(unsafe, bool):
        raise _refusal(f"{place}: unsafe", "must be true or false")
    return LabelledRow(
        conversation=_conversation(values, place),
        is_unsafe=unsafe,
        codes=_codes(values.get("categories"), f"{place}: categories", is_unsafe=unsafe),
        id=_text(values, "id", place),
        source=_text(values, "source", place),
        lang=_text(values, "lang", place),
    )


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8-sig"))
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate pair is not text
    except (ValueError, RecursionError):  # not the error's text: it may quote the line
        raise _refusal(place, "not JSON in UTF-8") from None
    if not isinstance(values, dict):
        raise _refusal(place, "must be a JSON object")
    return values


def _conversation(values: dict[str, Any], place: str) -> Conversation:
    if ("text" in values) == ("messages" in values):
        raise _refusal(place, "must have either text or messages")
    messages = values.get("messages")
    if "text" in values:
        messages = [{"role": values.get("role"), "content": values["text"]}]
    try:
        conversation = read_conversation(messages)
        check_conversation(conversation, _NO_LIMITS)
    except InvalidRequest as error:
        raise _placed(error, place) from None
    # With messages the last one is judged; a role beside them can only agree.
    if values.get("role") not in (None, conversation.judged.role.value):
        raise _refusal(f"{place}: role", "is not the role of the last message")
    return conversation


def _placed(error: InvalidRequest, place: str) -> InvalidRequest:
    return InvalidRequest(
        tuple(Violation(f"{place}: {v.field}", v.problem) for v in error.violations)
    )


def _codes(value: object, place: str, *, is_unsafe: bool) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(_is_code(code) for code in value):
        raise _refusal(place, "must be a list of codes such as S1")
    if value and not is_unsafe:
        raise _refusal(place, "must be empty where unsafe is false")
    return tuple(dict.fromkeys(value))


def _is_code(value: object) -> bool:
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _text(values: dict[str, Any], key: str, place: str) -> str:
    """A field that may be absent or null, as text."""
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _refusal(f"{place}: {key}", "must be a string")
    return value


def _refusal(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(place, problem),))
