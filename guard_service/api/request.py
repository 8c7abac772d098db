"""From the wire's messages to ours. Names every problem at once, quotes no value."""

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from guard_service import conversation as ground
from guard_service.conversation import Conversation, Judge, Role, ToolCall
from guard_service.errors import ConversationTooLong, InvalidRequest, MalformedRequest, Violation
from guard_service.pipeline import Check
from guard_service.policy import OnUnavailable
from guard_service.v1 import moderation_pb2 as pb

M = TypeVar("M", bound=Message)

MAX_ID_BYTES = 128
_MAX_LABELS = 32
MAX_LABEL_BYTES = 256

_ROLES = {
    pb.ROLE_USER: Role.USER,
    pb.ROLE_ASSISTANT: Role.ASSISTANT,
    pb.ROLE_SYSTEM: Role.SYSTEM,
    pb.ROLE_TOOL: Role.TOOL,
}
_JUDGE = {
    pb.JUDGE_UNSPECIFIED: Judge.LAST,
    pb.JUDGE_LAST: Judge.LAST,
    pb.JUDGE_ALL: Judge.ALL,
}
_ON_UNAVAILABLE = {
    pb.ON_UNAVAILABLE_UNSPECIFIED: None,
    pb.ON_UNAVAILABLE_ALLOW: OnUnavailable.ALLOW,
    pb.ON_UNAVAILABLE_BLOCK: OnUnavailable.BLOCK,
    pb.ON_UNAVAILABLE_ERROR: OnUnavailable.ERROR,
}


def parse(kind: type[M], payload: bytes) -> M:
    """The message in these bytes; MalformedRequest where gRPC itself would answer UNKNOWN."""
    try:
        return kind.FromString(payload)
    except DecodeError:
        raise MalformedRequest from None


def check_from_request(request: pb.ModerateRequest, limits: ground.Limits) -> Check:
    """What to judge; InvalidRequest names every field that is wrong."""
    if len(request.messages) > limits.max_messages:  # before any object is made of them
        problem = f"{len(request.messages)} messages, at most {limits.max_messages} are judged"
        raise ConversationTooLong((Violation("messages", problem),))
    if violations := tuple(_violations(request)):
        raise InvalidRequest(violations)
    return Check(
        conversation=Conversation(tuple(_message(message) for message in request.messages)),
        request_id=request.request_id,
        policy=request.policy,
        judge=_JUDGE[request.judge],
        on_unavailable=_ON_UNAVAILABLE[request.on_unavailable],
        labels=dict(request.labels),
    )


def page_offset(page_token: str) -> int:
    """The place that a page token of ours names; 0 for the first page."""
    return place_of(page_token, "page_token") or 0


def place_of(token: str, field: str) -> int | None:
    """The number in a token that we gave; None without one."""
    if not token:
        return None
    if not (token.isascii() and token.isdigit() and len(token) < 16):
        raise InvalidRequest((Violation(field, "is not one that this server gave"),))
    return int(token)


def page_size(size: int, default: int, most: int) -> int:
    if not 0 <= size <= most:
        raise InvalidRequest((Violation("page_size", f"must be 0 to {most}"),))
    return size or default


def _violations(request: pb.ModerateRequest) -> Iterator[Violation]:
    if len(request.request_id.encode()) > MAX_ID_BYTES:
        yield Violation("request_id", f"at most {MAX_ID_BYTES} bytes")
    if request.on_unavailable not in _ON_UNAVAILABLE:
        yield Violation("on_unavailable", "unknown value")
    if request.judge not in _JUDGE:
        yield Violation("judge", "unknown value")
    for number, message in enumerate(request.messages):
        yield from _message_violations(f"messages[{number}]", message)
    if len(request.labels) > _MAX_LABELS:
        yield Violation("labels", f"at most {_MAX_LABELS} labels")
    if any(
        len(text.encode()) > MAX_LABEL_BYTES for pair in request.labels.items() for text in pair
    ):
        yield Violation("labels", f"keys and values have at most {MAX_LABEL_BYTES} bytes")


def _message_violations(field: str, message: pb.Message) -> Iterator[Violation]:
    if message.role not in _ROLES:
        yield Violation(f"{field}.role", "must be USER, ASSISTANT, SYSTEM or TOOL")
    if message.tool_calls and message.role != pb.ROLE_ASSISTANT:
        yield Violation(f"{field}.tool_calls", "only an ASSISTANT message makes tool calls")


def _message(message: pb.Message) -> ground.Message:
    calls = tuple(ToolCall(call.name, call.arguments_json) for call in message.tool_calls)
    return ground.Message(_ROLES[message.role], message.content, calls, message.name)
