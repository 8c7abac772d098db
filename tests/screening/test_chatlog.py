import json
from typing import Any

from guard_service.screening.chatlog import Logged, Place, Unjudged, read_chatlog

USER = {"role": "user", "content": "question"}
REPLY = {"message": {"role": "assistant", "content": "answer"}}


def line(messages: list[Any], *choices: Any, **values: Any) -> str:
    entry = {"id": "x", "status": 200, "request": {"messages": messages}}
    return json.dumps(entry | {"response": {"choices": list(choices)}} | values)


def read(*lines: str) -> list[Logged | Unjudged]:
    return list(read_chatlog(lines))


def texts(entry: Logged | Unjudged) -> list[str]:
    assert isinstance(entry, Logged)
    return [message.content for message in entry.conversation.messages]


def test_the_last_user_turn_and_the_response_are_judged() -> None:
    prompt, response = read(line([USER], REPLY))
    assert (prompt.place, texts(prompt)) == (Place.PROMPT, ["question"])
    assert (response.place, texts(response)) == (Place.RESPONSE, ["question", "answer"])


def test_what_follows_the_last_user_turn_is_not_its_context() -> None:
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    result = {"role": "tool", "content": "result"}
    prompt, response = read(line([USER, call, result], REPLY))
    assert texts(prompt) == ["question"]
    assert texts(response) == ["question", "", "result", "answer"]


def test_every_choice_is_judged() -> None:
    _, *responses = read(line([USER], REPLY, REPLY, REPLY))
    assert [entry.choice for entry in responses if isinstance(entry, Logged)] == [0, 1, 2]


def test_a_repeated_line_is_judged_again() -> None:
    same = line([USER], REPLY)
    assert [entry.line for entry in read(same, same)] == [1, 1, 2, 2]


def test_whatever_is_not_judged_has_its_reason() -> None:
    cases = {
        "no response (status 503)": line([USER], response={"error": {}}, status=503),
        "no response (status 200)": line([USER], response=None),
        "no user message": line([{"role": "system", "content": "s"}], REPLY),
        "the last user message is blank": line([{"role": "user", "content": " "}], REPLY),
        "the response is blank": line([USER], {"message": {"role": "assistant", "content": ""}}),
        "not a chat-completions log line": "{",
    }
    for reason, broken in cases.items():
        unjudged = [entry for entry in read(broken) if isinstance(entry, Unjudged)]
        assert [entry.reason for entry in unjudged] == [reason]


def test_lines_that_are_json_of_another_shape_are_accounted_for() -> None:
    for broken in ("[]", "7", '"text"', "null", "{}", '{"request": []}', '{"request": {}}'):
        (entry,) = read(broken)
        assert isinstance(entry, Unjudged)
        assert entry.place is Place.LINE


def test_a_message_that_cannot_be_read_is_named_and_the_next_line_goes_on() -> None:
    image = {"role": "user", "content": [{"type": "image_url"}]}
    bad, *good = read(line([image], REPLY), line([USER], REPLY))
    assert isinstance(bad, Unjudged)
    assert bad.reason.startswith("messages[0].content[0]")
    assert len(good) == 2


def test_a_choice_that_cannot_be_read_leaves_the_prompt_judged() -> None:
    prompt, response = read(line([USER], {"message": None}))
    assert isinstance(prompt, Logged)
    assert isinstance(response, Unjudged)
