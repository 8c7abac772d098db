"""What is asked: messages in OpenAI's chat shape or typed, and the request that carries them.

A shape that cannot be judged whole is refused with the name of the place and never with its text.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypeAlias

from guard_service.client.errors import refusal
from guard_service.client.wire import enum_to_wire
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


# A request, the same as a dict, or only its messages.
RequestLike: TypeAlias = ModerationRequest | Mapping[str, Any] | Messages

_ROLES = {role.value: role for role in Role} | {"developer": Role.SYSTEM}
_KEYS = frozenset({"role", "content", "refusal", "tool_calls", "tool_call_id", "name"})
_TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_OTHER_PARTS = ("image_url", "input_image", "input_audio", "audio", "video_url", "file")
_REQUEST_KEYS = frozenset(request_field.name for request_field in fields(ModerationRequest))


def request_from(value: RequestLike) -> ModerationRequest:
    """The request that one item of a batch stands for."""
    if isinstance(value, ModerationRequest):
        return value
    if not isinstance(value, Mapping):
        return ModerationRequest(value)
    if unknown := value.keys() - _REQUEST_KEYS:
        raise refusal(f"{min(map(str, unknown))}", "is not a field of a request")
    if "messages" not in value:
        raise refusal("messages", "is missing")
    return ModerationRequest(**value)


def request_id_of(value: Any) -> str:
    """The id that the caller gave, or a new one: every try of a request carries the same."""
    is_dict = isinstance(value, Mapping)
    given = value.get("request_id") if is_dict else getattr(value, "request_id", None)
    return uuid.uuid4().hex if given in (None, "") else _text(given, "request_id")


def request_to_wire(request: ModerationRequest) -> pb.ModerateRequest:
    """The wire's request; InvalidRequest names the first place that cannot be judged."""
    wire = pb.ModerateRequest(
        request_id=request_id_of(request),
        messages=_messages(request.messages),
        policy=_text(request.policy, "policy"),
        labels=dict(_labels(request.labels)),
    )
    if request.on_unavailable is not None:
        wire.on_unavailable = enum_to_wire(
            _on_unavailable(request.on_unavailable), pb.OnUnavailable
        )
    return wire


def _messages(value: Messages) -> list[pb.Message]:
    if isinstance(value, str):
        value = [Message(Role.USER, value)]
    if not isinstance(value, list | tuple):
        raise refusal("messages", "must be a text or a list of messages")
    if not value:
        raise refusal("messages", "must hold at least one message")
    places = [f"messages[{number}]" for number in range(len(value))]
    return [_to_wire(_message(each, at), at) for each, at in zip(value, places, strict=True)]


def _message(value: Any, at: str) -> Message:
    if isinstance(value, Message):
        return value
    if not isinstance(value, Mapping):
        raise refusal(at, "must be a dict or a Message")
    for key, content in value.items():
        # It may hold what somebody said: not judging it must not look like having judged it.
        if key not in _KEYS and content:
            raise refusal(f"{at}.{key}", "is not a field that can be judged")
    texts = [_content(value.get(key), f"{at}.{key}") for key in ("content", "refusal")]
    return Message(
        role=_role(value.get("role"), f"{at}.role"),
        content="\n".join(text for text in texts if text),
        tool_calls=tuple(_tool_calls(value.get("tool_calls") or (), f"{at}.tool_calls")),
        name=value.get("name") or "",
    )


def _role(value: Any, at: str) -> Role:
    if not isinstance(value, str) or value not in _ROLES:
        raise refusal(at, f"must be one of {', '.join(_ROLES)}")
    return _ROLES[value]


def _content(value: Any, at: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, list | tuple):
        return _text(value, at)
    return "\n".join(_part(part, f"{at}[{number}]") for number, part in enumerate(value))


def _part(part: Any, at: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(kind, str) and kind in _TEXT_PARTS:
        return _text(part.get(_TEXT_PARTS[kind]), f"{at}.{_TEXT_PARTS[kind]}")
    # Only types that we know are named: anything else in their place could be a user's text.
    name = f"{kind} part" if kind in _OTHER_PARTS else "part of another type"
    raise refusal(at, f"is a {name}; only text is judged")


def _tool_calls(value: Any, at: str) -> Iterator[ToolCall]:
    if not isinstance(value, list | tuple):
        raise refusal(at, "must be a list of tool calls")
    for number, call in enumerate(value):
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping):
            raise refusal(f"{at}[{number}]", "must be a function call: {'function': {...}}")
        place = f"{at}[{number}].function"
        name = _text(function.get("name"), f"{place}.name")
        yield ToolCall(name, _text(function.get("arguments"), f"{place}.arguments"))


def _to_wire(message: Message, at: str) -> pb.Message:
    if not isinstance(message.role, Role):
        raise refusal(f"{at}.role", "must be a Role")
    calls = [
        pb.ToolCall(
            name=_text(call.name, f"{at}.tool_calls[{number}].name"),
            arguments_json=_text(call.arguments_json, f"{at}.tool_calls[{number}].arguments_json"),
        )
        for number, call in enumerate(message.tool_calls)
    ]
    return pb.Message(
        role=enum_to_wire(message.role, pb.Role),
        content=_text(message.content, f"{at}.content"),
        tool_calls=calls,
        name=_text(message.name, f"{at}.name"),
    )


def _labels(labels: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(labels, Mapping | None):
        raise refusal("labels", "must be a dict of texts")
    for key, label in (labels or {}).items():
        yield _text(key, "labels"), _text(label, "labels")


def _on_unavailable(value: Any) -> OnUnavailable:
    try:
        return OnUnavailable(value)
    except ValueError:
        raise refusal("on_unavailable", "must be allow, block or error") from None


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise refusal(at, "must be text")
    try:
        value.encode()
    except UnicodeEncodeError:  # `from None`: this error carries the whole text
        raise refusal(at, "is not valid Unicode (it holds half a surrogate pair)") from None
    return value
