"""Every shape as it is written, what is told of it, and what of it cannot be judged."""

from typing import Any

import pytest

from guard_service.errors import InvalidRequest
from guard_service.screening.shape import find_shape
from guard_service.screening.transcript import Transcript

USER = {"role": "user", "content": "hi"}
REPLY = {"role": "assistant", "content": "hello"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def read(line: dict[str, Any]) -> list[Transcript]:
    shape = find_shape(line)
    assert shape is not None
    return list(shape.read(line))


def texts(transcript: Transcript) -> list[tuple[str, str]]:
    messages = [*transcript.messages, *(r.message for r in transcript.replies if r.message)]
    return [(message.role.value, message.content) for message in messages]


def chunk(index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": index, "delta": delta}]}


STREAM = [chunk(role="assistant"), chunk(content="hel"), chunk(content="lo"), {"choices": []}]
EVENTS = "data: " + '{"choices":[{"index":0,"delta":{"content":"hello"}}]}' + "\n\ndata: [DONE]\n"
BLOCKS = [
    {"type": "message_start", "message": {}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "message_stop"},
]
ANTHROPIC = {"model": "claude-x", "messages": [USER]}
ANSWER = {"type": "message", "content": [{"type": "text", "text": "hello"}]}
CHOICES = {"choices": [{"message": REPLY}]}
SHAREGPT = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
BAD_ROLE = [{"role": "x", "content": "secret"}]
ASKED = {"messages": [USER]}


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        ("OpenAI chat completions", {"request": ASKED, "response": CHOICES}),
        ("OpenAI chat completions", {"messages": [USER], "choices": [{"message": REPLY}]}),
        ("OpenAI chat completions", {"request": ASKED, "response": STREAM}),
        ("OpenAI chat completions", {"request": ASKED, "response": {"chunks": STREAM}}),
        ("OpenAI chat completions", {"request": ASKED, "response": EVENTS}),
        ("OpenAI chat completions", {"messages": [USER], "response": "hello"}),
        ("Anthropic messages", {"request": ANTHROPIC, "response": ANSWER}),
        ("Anthropic messages", {"request": ANTHROPIC, "response": BLOCKS}),
        ("Anthropic messages", ANTHROPIC | {"messages": [USER, REPLY]}),
        ("messages", {"messages": [USER, REPLY]}),
        ("ShareGPT", {"conversations": SHAREGPT}),
        ("OpenAI batch", {"custom_id": "a", "body": {"messages": [USER, REPLY]}}),
        ("prompt and response", {"prompt": "hi", "response": "hello"}),
        ("prompt and response", {"instruction": "hi", "output": "hello"}),
    ],
)  # fmt: skip
def test_a_question_and_its_reply_are_read_from_every_shape(
    shape: str, line: dict[str, Any]
) -> None:
    found = find_shape(line)
    assert found is not None
    assert found.name == shape
    (transcript,) = read(line)
    assert texts(transcript) == [("user", "hi"), ("assistant", "hello")]
    assert [reply.choice for reply in transcript.replies] == [0]


@pytest.mark.parametrize(
    "line",
    [
        {"text": "hi"},
        {"content": "hi"},
        {"prompt": "hi"},
        {"custom_id": "a", "url": "/v1/moderations", "body": {"input": "hi"}},
        {"custom_id": "a", "body": {"input": [{"type": "text", "text": "hi"}]}},
    ],
)
def test_a_text_alone_is_a_users(line: dict[str, Any]) -> None:
    (transcript,) = read(line)
    assert texts(transcript) == [("user", "hi")]
    assert transcript.replies == ()


def test_a_text_may_say_that_it_is_a_reply() -> None:
    (transcript,) = read({"text": "hello", "role": "assistant"})
    assert transcript.messages == ()
    assert texts(transcript) == [("assistant", "hello")]


def test_each_text_of_a_moderation_is_a_thing_of_its_own() -> None:
    read_texts = read({"custom_id": "a", "body": {"input": ["one", "two"]}})
    assert [texts(each) for each in read_texts] == [[("user", "one")], [("user", "two")]]


def test_streams_are_joined_by_choice_with_their_tool_calls() -> None:
    part = {"index": 0, "function": {"name": "f", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ":1}"}}
    stream = [chunk(1, content="two"), chunk(0, tool_calls=[part]), chunk(0, tool_calls=[rest])]
    (transcript,) = read({"request": {"messages": [USER]}, "response": stream})
    first, second = transcript.replies
    assert first.message is not None
    assert second.message is not None
    assert [(c.name, c.arguments_json) for c in first.message.tool_calls] == [("f", '{"a":1}')]
    assert second.message.content == "two"


@pytest.mark.parametrize(
    "response",
    [None, {"error": {"message": "secret"}}, {"choices": []}, [], "data: [DONE]", {"choices": 3}],
)
def test_a_failed_request_has_no_response(response: Any) -> None:
    (transcript,) = read({"request": {"messages": [USER]}, "status": 503, "response": response})
    (reply,) = transcript.replies
    assert (reply.message, reply.problem) == (None, "no response (status 503)")


def test_an_anthropic_error_is_no_response() -> None:
    (transcript,) = read({"request": ANTHROPIC, "response": {"type": "error", "error": {}}})
    assert transcript.replies[0].problem == "no response (status unknown)"


def test_one_bad_choice_does_not_take_the_others_along() -> None:
    image = {"role": "assistant", "content": [{"type": "image_url"}]}
    choices = [{"message": image}, 3, {"message": REPLY}]
    (transcript,) = read({"request": {"messages": [USER]}, "response": {"choices": choices}})
    problems = [reply.problem for reply in transcript.replies]
    assert problems == [
        "response.choices[0].message.content[0]: is not text, and only text can be judged",
        "response.choices[1]: must be an object",
        "",
    ]


def test_anthropics_blocks_become_messages_calls_and_results() -> None:
    messages = [
        USER,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "secret"},
                {"type": "text", "text": "wait"},
                {"type": "tool_use", "name": "f", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "content": "42"}]},
    ]
    (transcript,) = read({"model": "claude-x", "system": "Be kind.", "messages": messages})
    assert texts(transcript) == [
        ("system", "Be kind."),
        ("user", "hi"),
        ("assistant", "wait"),
        ("tool", "42"),
    ]
    (call,) = transcript.messages[2].tool_calls
    assert (call.name, call.arguments_json) == ("f", '{"a":1}')


def test_what_a_log_says_of_a_line_is_kept() -> None:
    request = {"messages": [USER], "user": "u-1", "model": "m"}
    (transcript,) = read({"id": "a", "created": 1767225600, "request": request, "response": None})
    origin = transcript.origin
    assert (origin.id, origin.time, origin.user, origin.model) == ("a", 1767225600, "u-1", "m")
    for time in ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", 1767225600000):
        (transcript,) = read({"text": "hi", "timestamp": time})
        assert transcript.origin.time == 1767225600
    (transcript,) = read({"text": "hi", "timestamp": "yesterday", "id": ["no id"]})
    assert (transcript.origin.id, transcript.origin.time) == ("", None)


def test_a_refusal_in_its_own_field_is_what_was_replied() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I cannot."}
    (transcript,) = read({"messages": [USER, refused]})
    assert texts(transcript)[-1] == ("assistant", "I cannot.")


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ({"messages": [USER, {"role": "user", "content": 3}]}, r"messages\[1\].content"),
        ({"messages": [{"role": "bot", "content": "secret"}]}, r"messages\[0\].role"),
        ({"conversations": [{"from": "who", "value": "secret"}]}, r"conversations\[0\]"),
        ({"conversations": ["secret"]}, r"conversations\[0\]"),
        ({"prompt": {"secret": 1}}, "prompt"),
        ({"request": ANTHROPIC | {"messages": BAD_ROLE}}, r"\[0\].role"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_its_place_and_never_by_its_text(
    line: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidRequest, match=place) as raised:
        read(line)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("line", [{}, {"a": 1}, {"request": {}}, {"conversations": 3}])
def test_an_unknown_shape_is_none(line: dict[str, Any]) -> None:
    assert find_shape(line) is None
