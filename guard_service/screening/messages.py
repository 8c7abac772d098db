"""Chat messages as the world writes them (OpenAI's shape) into our conversation.

What is wrong is told with its place and never with its text. Places are put together only then:
most lines of a log are sound, and there are millions.
"""

from typing import Any

from guard_service.conversation import Conversation, Message, Role, ToolCall
from guard_service.errors import InvalidRequest, Violation

_ROLES = {role.value: role for role in Role} | {
    "developer": Role.SYSTEM,
    "function": Role.TOOL,  # of before there were tools
}


def read_conversation(messages: Any) -> Conversation:
    """The conversation in a list of messages; InvalidRequest names the place that is wrong."""
    if not isinstance(messages, list | tuple):
        raise invalid("messages", "must be a list")
    read = []
    for message in messages:
        try:
            read.append(read_message(message))
        except InvalidRequest as error:
            raise placed(error, f"messages[{len(read)}]") from None
    return Conversation(tuple(read))


def read_message(message: Any) -> Message:
    """One message; InvalidRequest names the place within it."""
    if not isinstance(message, dict):
        raise invalid("", "must be an object")
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        raise invalid("role", f"must be one of {', '.join(_ROLES)}")
    content = message.get("content")
    if content is None:  # OpenAI's models refuse in a field of its own
        content = message.get("refusal")
    calls = message.get("tool_calls")
    return Message(role, read_content(content), _read_tool_calls(calls) if calls else ())


def read_content(content: Any, place: str = "content") -> str:
    """Text, a list of text parts, or nothing (an assistant message that only calls tools)."""
    if isinstance(content, str):
        return _check_unicode(content, place)
    if content is None:
        return ""
    if not isinstance(content, list | tuple):
        raise invalid(place, "must be text or a list of parts")
    return "\n\n".join(_read_part(part, f"{place}[{n}]") for n, part in enumerate(content))


def invalid(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(place, problem),))


def placed(error: InvalidRequest, place: str) -> InvalidRequest:
    """The error, told from further out."""
    return InvalidRequest(
        tuple(Violation(f"{place}.{v.field}".rstrip("."), v.problem) for v in error.violations)
    )


def _read_part(part: Any, place: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    text = part.get("text") if kind in ("text", "input_text", "output_text") else None
    if not isinstance(text, str):
        raise invalid(place, "is not text, and only text can be judged")
    return _check_unicode(text, place)


def _check_unicode(text: str, place: str) -> str:
    """JSON can write half a surrogate pair, which is no text."""
    if text.isascii():  # known without looking
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        raise invalid(place, "holds half a surrogate pair") from None
    return text


def _read_tool_calls(calls: Any) -> tuple[ToolCall, ...]:
    try:
        functions = [call["function"] for call in calls]
        return tuple(ToolCall(str(f["name"]), str(f.get("arguments", ""))) for f in functions)
    except (TypeError, KeyError, AttributeError):
        raise invalid("tool_calls", "must be a list of function calls") from None
