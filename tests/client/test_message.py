from typing import Any

import pytest

from guard_service.client import InvalidRequest, Message, ModerationRequest, Role, ToolCall
from guard_service.client.message import to_wire
from guard_service.v1 import moderation_pb2 as pb

SECRET = "my secret text"
PART = {"type": "text", "text": SECRET}
USER = {"role": "user", "content": SECRET}


def sent(messages: Any, **more: Any) -> pb.ModerateRequest:
    return to_wire(ModerationRequest(messages, **more))


def sent_message(message: Any) -> pb.Message:
    return sent([message]).messages[0]


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer", "tool"])
def test_each_role_of_openai_has_its_place(role: str) -> None:
    wire = "ROLE_SYSTEM" if role == "developer" else f"ROLE_{role.upper()}"
    message = sent_message({"role": role, "content": "x", "name": "search"})
    assert message == pb.Message(role=wire, content="x", name="search")


def test_text_parts_are_joined_by_a_blank_line() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "input_text", "text": "two"}]
    assert sent_message({"role": "user", "content": parts}).content == "one\n\ntwo"


def test_an_answer_as_openai_dumps_it_is_taken_whole() -> None:
    function = {"name": "search", "arguments": '{"q": 1}'}
    call = {"id": "call_1", "type": "function", "function": function}
    dumped = {"role": "assistant", "content": None, "audio": None, "tool_calls": [call]}
    assert sent_message(dumped) == pb.Message(
        role=pb.ROLE_ASSISTANT,
        tool_calls=[pb.ToolCall(name="search", arguments_json='{"q": 1}')],
    )


def test_a_typed_message_is_sent_as_it_is() -> None:
    message = Message(Role.ASSISTANT, "x", (ToolCall("search", "{}"),), "bot")
    assert sent_message(message) == pb.Message(
        role=pb.ROLE_ASSISTANT,
        content="x",
        tool_calls=[pb.ToolCall(name="search", arguments_json="{}")],
        name="bot",
    )


def calling(function: Any) -> dict[str, Any]:
    return USER | {"tool_calls": [{"function": function}]}


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        (7, "messages"),
        (None, "messages"),
        (SECRET.encode(), "messages"),
        (USER, "messages"),
        ([], "messages"),
        ([SECRET], "messages[0]"),
        ([USER, {"content": SECRET}], "messages[1].role"),
        ([{"role": SECRET, "content": SECRET}], "messages[0].role"),
        ([{"role": ["user"], "content": SECRET}], "messages[0].role"),
        ([USER, USER, {"role": "user", "content": 7}], "messages[2].content"),
        ([{"role": "user", "content": SECRET + "\ud800"}], "messages[0].content"),
        ([{"role": "user", "text": SECRET}], "messages[0].content"),
        ([{"role": "assistant", "content": None, "refusal": SECRET}], "messages[0].content"),
        ([{"role": "user", "content": [SECRET]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": SECRET}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [PART, {"type": "image_url"}]}], "messages[0].content[1]"),
        ([USER | {"name": 7}], "messages[0].name"),
        ([USER | {"tool_calls": SECRET}], "messages[0].tool_calls"),
        ([USER | {"tool_calls": 7}], "messages[0].tool_calls"),
        ([USER | {"tool_calls": [{"custom": {"input": SECRET}}]}], "messages[0].tool_calls"),
        ([calling({"name": "f", "arguments": {"a": SECRET}})], "messages[0].tool_calls"),
        ([calling(SECRET)], "messages[0].tool_calls"),
        ([Message(Role.USER, None)], "messages[0].content"),  # type: ignore[arg-type]
        ([Message("user", SECRET)], "messages[0].role"),  # type: ignore[arg-type]
    ],
)
def test_a_bad_shape_is_refused_by_its_place_and_never_quoted(messages: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(messages)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_id_is_made_up_where_none_is_given() -> None:
    assert sent("x").request_id != sent("x").request_id
    assert sent("x", request_id="mine").request_id == "mine"


@pytest.mark.parametrize("field", ["policy", "request_id", "labels"])
def test_what_goes_with_the_messages_must_be_texts(field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        sent("x", **{field: {"chat": 7} if field == "labels" else 7})


def test_no_repr_shows_what_users_wrote() -> None:
    message = Message(Role.USER, SECRET, (ToolCall("search", SECRET),), SECRET)
    request = ModerationRequest([message], labels={"a": SECRET})
    assert SECRET not in repr(message) + repr(request)
