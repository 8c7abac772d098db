"""What is asked: messages in OpenAI's chat shape or typed, and the request that carries them.

A shape that cannot be judged whole is refused with the name of the place and never with its text.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from guard_service.client.errors import refusal
from guard_service.v1 import moderation_pb2 as pb


class Role(Enum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class OnUnavailable(Enum):
    """What to answer when the model cannot be asked."""

    ALLOW = "allow"
    BLOCK = "block"
    ERROR = "error"


class Judge(Enum):
    """Which messages are judged; the worst of them is the verdict."""

    LAST = "last"
    ALL = "all"  # for conversations whose earlier turns were never judged


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments_json: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str = field(repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = field(default="", repr=False)


# One user message, or a conversation, oldest first.
Messages: TypeAlias = str | Sequence[Message | Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ModerationRequest:
    messages: Messages = field(repr=False)
    policy: str = ""
    request_id: str | None = None
    on_unavailable: OnUnavailable | None = None
    labels: Mapping[str, str] | None = field(default=None, repr=False)
    judge: Judge = Judge.LAST
    include_readings: bool = False  # for those who keep them and decide again later


_ROLES = {role.value: role for role in Role} | {"developer": Role.SYSTEM}
_TEXT_PARTS = ("text", "input_text", "output_text")


def to_wire(request: ModerationRequest) -> pb.ModerateRequest:
    """The wire's request; InvalidRequest names the first place that cannot be judged."""
    choice, labels = request.on_unavailable, (request.labels or {}).items()
    return pb.ModerateRequest(
        # Made here where there is none, so that every try of a request carries the same.
        request_id=_text(request.request_id or uuid.uuid4().hex, "request_id"),
        messages=_messages(request.messages),
        policy=_text(request.policy, "policy"),
        on_unavailable=f"ON_UNAVAILABLE_{choice.name}" if choice else None,
        judge=f"JUDGE_{request.judge.name}",
        include_readings=request.include_readings,
        labels={_text(key, "labels"): _text(label, "labels") for key, label in labels},
    )


def _messages(value: Messages) -> list[pb.Message]:
    if isinstance(value, str):
        value = [Message(Role.USER, value)]
    if not isinstance(value, list | tuple) or not value:
        raise refusal("messages", "must be a text or a list of messages")
    return [_message(each, f"messages[{number}]") for number, each in enumerate(value)]


def _message(value: Any, at: str) -> pb.Message:
    message = _typed(value, at) if isinstance(value, Mapping) else value
    if not isinstance(message, Message):
        raise refusal(at, "must be a dict or a Message")
    if not isinstance(message.role, Role):
        raise refusal(f"{at}.role", f"must be one of {', '.join(_ROLES)}")
    place = f"{at}.tool_calls"
    calls = [(_text(c.name, place), _text(c.arguments_json, place)) for c in message.tool_calls]
    return pb.Message(
        role=f"ROLE_{message.role.name}",
        content=_text(message.content, f"{at}.content"),
        tool_calls=[pb.ToolCall(name=name, arguments_json=text) for name, text in calls],
        name=_text(message.name, f"{at}.name"),
    )


def _typed(value: Mapping[str, Any], at: str) -> Message:
    """OpenAI's dict; what is not of its declared type is left for the caller to refuse."""
    role: Any = value.get("role")
    content: Any = value.get("content")
    calls = _tool_calls(value.get("tool_calls") or (), f"{at}.tool_calls")
    if content is None and calls:  # only then: elsewhere it was said in a field that we do not read
        content = ""
    if isinstance(content, list | tuple):
        parts = [_part(part, f"{at}.content[{number}]") for number, part in enumerate(content)]
        content = "\n\n".join(parts)
    return Message(_ROLES.get(str(role), role), content, calls, value.get("name") or "")


def _part(part: Any, at: str) -> str:
    if not isinstance(part, Mapping) or part.get("type") not in _TEXT_PARTS:
        raise refusal(at, "is not text, and only text can be judged")
    return _text(part.get("text"), at)


def _tool_calls(calls: Any, at: str) -> tuple[ToolCall, ...]:
    try:
        functions = [call["function"] for call in calls]
        return tuple(ToolCall(each["name"], each["arguments"]) for each in functions)
    except (TypeError, KeyError):
        raise refusal(at, "must be a list of function calls") from None


def _text(value: Any, at: str) -> str:
    try:
        value.encode()
    except (AttributeError, UnicodeEncodeError):  # `from None`: the error carries the whole text
        raise refusal(at, "must be text in valid Unicode") from None
    return str(value)
