from typing import Any

import pytest

from guard_service.client import InvalidRequest, Message, ModerationRequest, OnUnavailable, Role
from guard_service.client.message import ToolCall, request_from, request_to_wire
from guard_service.client.wire import enum_to_wire
from guard_service.v1 import moderation_pb2 as pb

SECRET = "my secret text"


def sent(messages: Any, **more: Any) -> pb.ModerateRequest:
    return request_to_wire(ModerationRequest(messages, **more))


def sent_message(message: Any) -> pb.Message:
    return sent([message]).messages[0]


@pytest.mark.parametrize(
    ("role", "wire"),
    [
        ("user", pb.ROLE_USER),
        ("assistant", pb.ROLE_ASSISTANT),
        ("system", pb.ROLE_SYSTEM),
        ("developer", pb.ROLE_SYSTEM),
        ("tool", pb.ROLE_TOOL),
    ],
)
def test_each_role_of_openai_has_its_place(role: str, wire: int) -> None:
    assert sent_message({"role": role, "content": "x"}).role == wire


def test_text_parts_are_joined_by_lines() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert sent_message({"role": "user", "content": parts}).content == "one\ntwo"


def test_an_answer_as_openai_dumps_it_is_taken_whole() -> None:
    dumped = {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "audio": None,
        "annotations": [],
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "search", "arguments": '{"q": 1}'},
            }
        ],
    }
    message = sent_message(dumped)
    assert message.content == ""
    assert message.tool_calls == [pb.ToolCall(name="search", arguments_json='{"q": 1}')]


def test_a_refusal_is_text_that_was_said() -> None:
    assert sent_message({"role": "assistant", "content": None, "refusal": "no"}).content == "no"


def test_a_tool_message_keeps_its_name() -> None:
    message = {"role": "tool", "tool_call_id": "call_1", "name": "search", "content": "found"}
    assert sent_message(message) == pb.Message(role=pb.ROLE_TOOL, content="found", name="search")


def test_a_typed_message_is_sent_as_it_is() -> None:
    message = Message(Role.ASSISTANT, "x", (ToolCall("search", "{}"),), "bot")
    assert sent_message(message) == pb.Message(
        role=pb.ROLE_ASSISTANT,
        content="x",
        tool_calls=[pb.ToolCall(name="search", arguments_json="{}")],
        name="bot",
    )


USER = {"role": "user", "content": SECRET}


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        (7, "messages"),
        (None, "messages"),
        (SECRET.encode(), "messages"),
        ({"role": "user", "content": SECRET}, "messages"),
        ([], "messages"),
        ([SECRET], "messages[0]"),
        ([USER, {"content": SECRET}], "messages[1].role"),
        ([{"role": SECRET, "content": SECRET}], "messages[0].role"),
        ([{"role": ["user"], "content": SECRET}], "messages[0].role"),
        ([USER, USER, {"role": "user", "content": 7}], "messages[2].content"),
        ([{"role": "user", "content": SECRET + "\ud800"}], "messages[0].content"),
        ([{"role": "user", "content": [SECRET]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": SECRET}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": []}]}], "messages[0].content[0]"),
        ([{"role": "user", "text": SECRET}], "messages[0].text"),
        ([USER | {"name": 7}], "messages[0].name"),
        ([USER | {"tool_calls": SECRET}], "messages[0].tool_calls"),
        ([USER | {"tool_calls": [{"custom": {"input": SECRET}}]}], "messages[0].tool_calls[0]"),
        (
            [USER | {"tool_calls": [{"function": {"name": "f", "arguments": {"a": SECRET}}}]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
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


def test_an_image_is_refused_by_name_and_never_dropped() -> None:
    content = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    with pytest.raises(InvalidRequest, match=r"messages\[0\]\.content\[1\]: is a image_url part"):
        sent([{"role": "user", "content": content}])


def test_an_id_is_made_up_where_none_is_given() -> None:
    assert sent("x").request_id != sent("x").request_id
    assert sent("x", request_id="mine").request_id == "mine"


def test_the_choice_when_unavailable_may_be_a_word() -> None:
    assert sent("x").on_unavailable == pb.ON_UNAVAILABLE_UNSPECIFIED
    assert sent("x", on_unavailable="block").on_unavailable == pb.ON_UNAVAILABLE_BLOCK
    with pytest.raises(InvalidRequest):
        sent("x", on_unavailable="perhaps")


@pytest.mark.parametrize("kind", [(Role, pb.Role), (OnUnavailable, pb.OnUnavailable)])
def test_each_member_is_known_on_the_wire(kind: Any) -> None:
    ours, wire = kind
    assert {enum_to_wire(member, wire) for member in ours} == set(wire.values()) - {0}


def test_labels_must_be_texts() -> None:
    assert dict(sent("x", labels={"chat": "7"}).labels) == {"chat": "7"}
    with pytest.raises(InvalidRequest, match="labels"):
        sent("x", labels={"chat": 7})


def test_an_item_is_a_request_or_a_dict_of_one_or_its_messages() -> None:
    request = ModerationRequest("x", policy="strict")
    assert request_from(request) is request
    assert request_from({"messages": "x", "policy": "strict"}) == request
    assert request_from([USER]) == ModerationRequest([USER])


@pytest.mark.parametrize(
    ("item", "field"), [({"messages": "x", "polcy": "a"}, "polcy"), ({"policy": "a"}, "messages")]
)
def test_an_item_with_another_field_is_refused(item: Any, field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        request_from(item)


def test_no_repr_shows_what_users_wrote() -> None:
    message = Message(Role.USER, SECRET, (ToolCall("search", SECRET),), SECRET)
    request = ModerationRequest([message], labels={"a": SECRET})
    assert SECRET not in repr(message) + repr(request)
