import pytest
from conversations import assistant, conversation, user

from guard_service.conversation import Conversation, Limits, Message, Role, ToolCall
from guard_service.conversation import check_conversation as check
from guard_service.errors import ConversationTooLong, InvalidRequest

LIMITS = Limits(max_messages=3, max_conversation_bytes=10)


def field(error: pytest.ExceptionInfo[InvalidRequest]) -> str:
    return error.value.violations[0].field


def test_a_conversation_without_messages_is_refused() -> None:
    with pytest.raises(InvalidRequest) as error:
        check(Conversation(()), LIMITS)
    assert field(error) == "messages"


def test_exactly_the_limits_are_accepted() -> None:
    check(conversation("12345", "12345"), LIMITS)
    check(conversation("a", "b", "c"), LIMITS)


def test_one_byte_over_is_refused_and_both_numbers_are_named() -> None:
    with pytest.raises(ConversationTooLong, match=r"11 UTF-8 bytes, at most 10"):
        check(conversation("12345", "123456"), LIMITS)


def test_bytes_are_counted_not_characters() -> None:
    with pytest.raises(ConversationTooLong):
        check(conversation("\N{GRINNING FACE}" * 3), LIMITS)


def test_one_message_over_is_refused() -> None:
    with pytest.raises(ConversationTooLong, match="4 messages, at most 3"):
        check(conversation("a", "b", "c", "d"), LIMITS)


def test_tool_calls_and_names_count_against_the_bytes() -> None:
    call = Message(Role.ASSISTANT, "", (ToolCall("run", '{"a": 1}'),))
    with pytest.raises(ConversationTooLong):
        check(Conversation((call,)), LIMITS)


def test_a_system_message_cannot_be_judged() -> None:
    with pytest.raises(InvalidRequest) as error:
        check(Conversation((user("a"), Message(Role.SYSTEM, "b"))), LIMITS)
    assert field(error) == "messages[1].role"


@pytest.mark.parametrize("blank", ["", "   ", "\n\t", "\u2003"])
def test_a_blank_last_message_cannot_be_judged(blank: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        check(conversation("a", assistant(blank)), LIMITS)
    assert field(error) == "messages[1].content"


def test_an_assistant_message_that_only_calls_a_tool_can_be_judged() -> None:
    check(Conversation((Message(Role.ASSISTANT, "", (ToolCall("f", "{}"),)),)), LIMITS)


def test_no_text_shows_in_a_repr() -> None:
    secret = Message(Role.ASSISTANT, "canary-text", (ToolCall("f", "canary-arguments"),), "canary")
    assert "canary" not in repr(Conversation((secret,)))


def test_digests_tell_roles_and_borders_of_messages_apart() -> None:
    different = [
        conversation("ab"),
        conversation("a", "b"),
        conversation(assistant("ab")),
        conversation("a", assistant("b")),
        Conversation((Message(Role.ASSISTANT, "", (ToolCall("a", "b"),)),)),
    ]
    assert len({c.digest() for c in different}) == len(different)
    assert conversation("ab").digest() == conversation("ab").digest()
