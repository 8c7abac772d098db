"""OpenAI's shapes: chat completions with their responses, Batch API lines, lists of messages."""

from collections.abc import Iterator, Sequence
from typing import Any

from guard_service.conversation import Message, Role
from guard_service.errors import InvalidRequest
from guard_service.screening.delta import join_stream
from guard_service.screening.messages import placed, read_content, read_conversation, read_message
from guard_service.screening.transcript import (
    Origin,
    Reply,
    Transcript,
    origin_of,
    transcript_of,
)


def read_chat(line: dict[str, Any]) -> Sequence[Transcript]:
    """A request and its response, side by side or in one object."""
    request = line.get("request", line)
    messages = read_conversation(request.get("messages")).messages
    replies = tuple(_replies(line))
    return (Transcript(messages, replies, origin_of(line, request)),)


def read_messages(line: dict[str, Any]) -> Sequence[Transcript]:
    """A conversation alone, as it is written for training."""
    messages = read_conversation(line["messages"]).messages
    return (transcript_of(messages, origin_of(line, line)),)


def read_batch(line: dict[str, Any]) -> Sequence[Transcript]:
    """A line of the Batch API's input: chat completions, or texts for /v1/moderations."""
    body = line["body"]
    origin = origin_of(line, body)
    if "messages" in body:
        return (transcript_of(read_conversation(body["messages"]).messages, origin),)
    texts = body.get("input")
    if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        return [_user(text, "body.input", origin) for text in texts]
    return (_user(texts, "body.input", origin),)


def _user(content: Any, place: str, origin: Origin) -> Transcript:
    return Transcript((Message(Role.USER, read_content(content, place)),), (), origin)


def _replies(line: dict[str, Any]) -> Iterator[Reply]:
    response = line.get("response", line)
    if isinstance(response, str) and not response.startswith("data:"):
        yield Reply(0, Message(Role.ASSISTANT, response))
        return
    stream = response.get("chunks") if isinstance(response, dict) else response
    if isinstance(stream, list | str):
        choices: Any = join_stream(stream)
    else:
        choices = response.get("choices") if isinstance(response, dict) else None
    if not isinstance(choices, list) or not choices:
        status = line.get("status")
        known = status if isinstance(status, int) else "unknown"
        yield Reply(0, None, f"no response (status {known})")
    else:
        for number, choice in enumerate(choices):
            yield _reply(number, choice)


def _reply(number: int, choice: Any) -> Reply:
    if not isinstance(choice, dict):
        return Reply(number, None, f"response.choices[{number}]: must be an object")
    try:
        return Reply(number, read_message(choice.get("message")))
    except InvalidRequest as error:
        place = f"response.choices[{number}].message"
        return Reply(number, None, str(placed(error, place)))
