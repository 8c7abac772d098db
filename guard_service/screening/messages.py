"""Chat messages as the world writes them (OpenAI's shape) into our conversation."""

from collections.abc import Mapping, Sequence
from typing import Any

from guard_service.conversation import Conversation, Message, Role, ToolCall
from guard_service.errors import InvalidRequest, Violation

_ROLES = {role.value: role for role in Role} | {
    "developer": Role.SYSTEM,
    "function": Role.TOOL,  # of before there were tools
}


def read_conversation(messages: Any) -> Conversation:
    """The conversation in a list of messages; InvalidRequest names the place that is wrong."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise _invalid("messages", "must be a list")
    return Conversation(
        tuple(read_message(message, f"messages[{n}]") for n, message in enumerate(messages))
    )


def read_message(message: Any, place: str) -> Message:
    if not isinstance(message, Mapping):
        raise _invalid(place, "must be an object")
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise _invalid(f"{place}.role", f"must be one of {', '.join(_ROLES)}")
    content = message.get("content")
    if content is None:  # OpenAI's models refuse in a field of its own
        content = message.get("refusal")
    return Message(
        role,
        read_content(content, f"{place}.content"),
        tuple(_read_tool_calls(message.get("tool_calls"), f"{place}.tool_calls")),
    )


def read_content(content: Any, place: str) -> str:
    """Text, a list of text parts, or nothing (an assistant message that only calls tools)."""
    if content is None or isinstance(content, str):
        return _check_unicode(content or "", place)
    if not isinstance(content, Sequence):
        raise _invalid(place, "must be text or a list of parts")
    return "\n\n".join(_read_part(part, f"{place}[{n}]") for n, part in enumerate(content))


def _read_part(part: Any, place: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    text = part.get("text") if kind in ("text", "input_text", "output_text") else None
    if not isinstance(text, str):
        raise _invalid(place, "is not text, and only text can be judged")
    return _check_unicode(text, place)


def _check_unicode(text: str, place: str) -> str:
    """JSON can write half a surrogate pair, which is no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _invalid(place, "holds half a surrogate pair") from None
    return text


def _read_tool_calls(calls: Any, place: str) -> list[ToolCall]:
    if not calls:
        return []
    try:
        functions = [call["function"] for call in calls]
        return [ToolCall(str(f["name"]), str(f.get("arguments", ""))) for f in functions]
    except (TypeError, KeyError, AttributeError):
        raise _invalid(place, "must be a list of function calls") from None


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(field, problem),))
