import pytest

from guard_service.api.request import check_from_request, page_offset, page_size, parse
from guard_service.conversation import Judge, Limits, Role
from guard_service.errors import ConversationTooLong, InvalidRequest, MalformedRequest
from guard_service.policy import OnUnavailable
from guard_service.v1 import moderation_pb2 as pb

LIMITS = Limits()
HELLO = pb.Message(role=pb.ROLE_USER, content="hello")


def fields(request: pb.ModerateRequest) -> set[str]:
    with pytest.raises(InvalidRequest) as error:
        check_from_request(request, LIMITS)
    return {violation.field for violation in error.value.violations}


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"\x0a\x02\xff\xfe",  # request_id that is not UTF-8
        b"\x0a\x03\xed\xa0\x80",  # half a surrogate pair
        b"\x0a\x02\xc0\x80",  # overlong
        b"\x12\x7f",  # a length beyond the end
    ],
)
def test_bytes_that_do_not_parse_are_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse(pb.ModerateRequest, payload)


def test_everything_of_a_request_arrives() -> None:
    call = pb.ToolCall(name="f", arguments_json="{}")
    messages = [
        pb.Message(role=pb.ROLE_SYSTEM, content="s"),
        pb.Message(role=pb.ROLE_USER, content="u", name="n"),
        pb.Message(role=pb.ROLE_ASSISTANT, tool_calls=[call]),
        pb.Message(role=pb.ROLE_TOOL, content="t"),
    ]
    request = pb.ModerateRequest(
        request_id="r",
        messages=messages,
        policy="p",
        on_unavailable=pb.ON_UNAVAILABLE_BLOCK,
        labels={"a": "b"},
        judge=pb.JUDGE_ALL,
    )
    check = check_from_request(request, LIMITS)
    assert [m.role for m in check.conversation.messages] == [
        Role.SYSTEM,
        Role.USER,
        Role.ASSISTANT,
        Role.TOOL,
    ]
    assert check.conversation.messages[1].name == "n"
    assert check.conversation.messages[2].tool_calls[0].arguments_json == "{}"
    assert (check.request_id, check.policy, check.labels) == ("r", "p", {"a": "b"})
    assert check.on_unavailable is OnUnavailable.BLOCK
    assert check.judge is Judge.ALL


def test_unspecified_means_the_policys_own_choice_and_the_last_message() -> None:
    check = check_from_request(pb.ModerateRequest(messages=[HELLO]), LIMITS)
    assert (check.on_unavailable, check.judge) == (None, Judge.LAST)


def test_every_wrong_field_is_named_at_once() -> None:
    request = pb.ModerateRequest(
        request_id="x" * 129,
        messages=[
            pb.Message(content="no role"),
            pb.Message(role=99, content="unknown role"),  # type: ignore[arg-type]
            pb.Message(role=pb.ROLE_USER, tool_calls=[pb.ToolCall(name="f")]),
        ],
        on_unavailable=42,  # type: ignore[arg-type]
        judge=3,  # type: ignore[arg-type]
        labels={"k": "v" * 257},
    )
    assert fields(request) == {
        "request_id",
        "messages[0].role",
        "messages[1].role",
        "messages[2].tool_calls",
        "on_unavailable",
        "judge",
        "labels",
    }


def test_limits_are_in_bytes_and_exact() -> None:
    fits = pb.ModerateRequest(request_id="\u00e9" * 64, messages=[HELLO])
    assert check_from_request(fits, LIMITS).request_id == "\u00e9" * 64
    assert fields(pb.ModerateRequest(request_id="\u00e9" * 65)) == {"request_id"}
    many = {str(n): "" for n in range(33)}
    assert fields(pb.ModerateRequest(messages=[HELLO], labels=many)) == {"labels"}


def test_too_many_messages_are_refused_before_they_are_looked_at() -> None:
    request = pb.ModerateRequest(messages=[pb.Message()] * 1001)
    with pytest.raises(ConversationTooLong, match="1001 messages, at most 1000"):
        check_from_request(request, LIMITS)


@pytest.mark.parametrize("token", ["x", "-1", "1.5", "\u0661", "9" * 16])
def test_a_page_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest, match="page_token"):
        page_offset(token)


def test_page_sizes_have_a_default_and_a_most() -> None:
    assert (page_offset(""), page_offset("7")) == (0, 7)
    assert (page_size(0, 50, 500), page_size(7, 50, 500)) == (50, 7)
    for size in (-1, 501):
        with pytest.raises(InvalidRequest, match="page_size"):
            page_size(size, 50, 500)
