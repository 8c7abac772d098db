"""OpenAI chat-completions logs: what there is to judge in each line, and why the rest is not.

Of every line the last user turn is judged (as before a generation) and every choice of the response
(as after it). What cannot be judged is named with its reason; nothing is dropped.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from guard_service.conversation import Conversation, Role
from guard_service.errors import InvalidRequest
from guard_service.screening.messages import read_conversation, read_message


class Place(Enum):
    LINE = "line"  # the whole line, where it could not be read
    PROMPT = "prompt"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Logged:
    """One thing to judge."""

    line: int  # from 1
    id: str
    place: Place
    choice: int  # of the response; 0 for a prompt
    conversation: Conversation


@dataclass(frozen=True, slots=True)
class Unjudged:
    line: int
    id: str
    place: Place
    reason: str


def read_chatlog(lines: Iterable[str]) -> Iterator[Logged | Unjudged]:
    """Everything in the log in order: at least one row for each line."""
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            request = entry["request"]
            messages = read_conversation(request["messages"])
            name = str(entry.get("id", ""))
        except (ValueError, TypeError, KeyError, AttributeError):
            yield Unjudged(number, "", Place.LINE, "not a chat-completions log line")
        except InvalidRequest as error:
            yield Unjudged(number, str(entry.get("id", "")), Place.LINE, str(error))
        else:
            yield _prompt(number, name, messages)
            yield from _responses(number, name, messages, entry)


def _prompt(number: int, name: str, conversation: Conversation) -> Logged | Unjudged:
    messages = conversation.messages
    last = max((i for i, m in enumerate(messages) if m.role is Role.USER), default=None)
    if last is None:
        return Unjudged(number, name, Place.PROMPT, "no user message")
    if messages[last].is_blank:
        return Unjudged(number, name, Place.PROMPT, "the last user message is blank")
    return Logged(number, name, Place.PROMPT, 0, Conversation(messages[: last + 1]))


def _responses(
    number: int, name: str, conversation: Conversation, entry: Mapping[str, Any]
) -> Iterator[Logged | Unjudged]:
    response = entry.get("response")
    choices = response.get("choices") if isinstance(response, Mapping) else None
    if not isinstance(choices, list) or not choices:
        reason = f"no response (status {entry.get('status', 'unknown')})"
        yield Unjudged(number, name, Place.RESPONSE, reason)
        return
    for index, choice in enumerate(choices):
        yield _response(number, name, conversation, index, choice)


def _response(
    number: int, name: str, conversation: Conversation, index: int, choice: Any
) -> Logged | Unjudged:
    try:
        message = read_message(choice.get("message"))
    except (InvalidRequest, AttributeError) as error:
        return Unjudged(number, name, Place.RESPONSE, str(error))
    if message.is_blank:
        return Unjudged(number, name, Place.RESPONSE, "the response is blank")
    judged = Conversation((*conversation.messages, message))
    return Logged(number, name, Place.RESPONSE, index, judged)
