import pytest

from guard_service.conversation import Role
from guard_service.errors import InvalidRequest
from guard_service.screening.messages import read_conversation


def test_the_roles_of_chat_apis_are_read() -> None:
    names = ["system", "developer", "user", "assistant", "tool"]
    read = read_conversation([{"role": name, "content": "x"} for name in names])
    assert [m.role for m in read.messages] == [
        Role.SYSTEM,
        Role.SYSTEM,
        Role.USER,
        Role.ASSISTANT,
        Role.TOOL,
    ]


def test_text_parts_are_joined_and_no_content_is_no_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]
    read = read_conversation(
        [{"role": "user", "content": parts}, {"role": "assistant", "content": None}]
    )
    assert [m.content for m in read.messages] == ["a\n\nb", ""]


def test_tool_calls_keep_their_arguments_as_written() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":  1}'}}
    (message,) = read_conversation(
        [{"role": "assistant", "content": None, "tool_calls": [call]}]
    ).messages
    assert (message.tool_calls[0].name, message.tool_calls[0].arguments_json) == ("f", '{"a":  1}')


@pytest.mark.parametrize(
    ("messages", "place"),
    [
        ("secret", "messages"),
        (None, "messages"),
        (["secret"], "messages[0]"),
        ([{"role": "secret", "content": "x"}], "messages[0].role"),
        ([{"content": "secret"}], "messages[0].role"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
        ([{"role": "user", "content": ["secret"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": "secret\ud800"}], "messages[0].content"),
        ([{"role": "assistant", "tool_calls": ["secret"]}], "messages[0].tool_calls"),
    ],
)
def test_what_is_wrong_is_named_by_its_place_and_never_quoted(messages: object, place: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        read_conversation(messages)
    assert error.value.violations[0].field == place
    assert "secret" not in str(error.value)
