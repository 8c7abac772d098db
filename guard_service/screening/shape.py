"""Which shape a line has, told by its keys; each line for itself, so files may mix them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from guard_service.conversation import Message, Role
from guard_service.errors import InvalidRequest, Violation
from guard_service.screening.anthropic import is_anthropic, read_anthropic
from guard_service.screening.messages import read_content
from guard_service.screening.openai import read_batch, read_chat, read_messages
from guard_service.screening.transcript import Reply, Transcript, origin_of, transcript_of

_TEXTS = ("text", "content", "message", "comment", "body", "input")
_PROMPTS = ("prompt", "question", "query", "instruction", "user_message")
_RESPONSES = ("response", "completion", "answer", "output", "assistant_message", "reply")
_SHAREGPT = {
    "human": Role.USER,
    "user": Role.USER,
    "gpt": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "bing": Role.ASSISTANT,
    "bard": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "tool": Role.TOOL,
    "observation": Role.TOOL,
    "function_call": Role.ASSISTANT,
}

Read = Callable[[dict[str, Any]], Sequence[Transcript]]


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    fits: Callable[[dict[str, Any]], bool] = field(repr=False)
    read: Read = field(repr=False)


def find_shape(line: dict[str, Any]) -> Shape | None:
    """The first shape that fits; None for a line of no shape that we know."""
    return next((shape for shape in SHAPES if shape.fits(line)), None)


def _is_chat(line: dict[str, Any]) -> bool:
    request = line.get("request")
    if isinstance(request, dict):
        return "messages" in request
    return "messages" in line and ("response" in line or "choices" in line)


def _is_batch(line: dict[str, Any]) -> bool:
    return "custom_id" in line and isinstance(line.get("body"), dict)


def _is_sharegpt(line: dict[str, Any]) -> bool:
    return isinstance(line.get("conversations"), list)


def _is_pair(line: dict[str, Any]) -> bool:
    return any(key in line for key in _PROMPTS)


def _is_text(line: dict[str, Any]) -> bool:
    return any(key in line for key in _TEXTS)


def _read_sharegpt(line: dict[str, Any]) -> Sequence[Transcript]:
    return (transcript_of(list(_turns(line["conversations"])), origin_of(line, line)),)


def _turns(turns: Sequence[Any]) -> Iterator[Message]:
    for number, turn in enumerate(turns):
        place = f"conversations[{number}]"
        role = _SHAREGPT.get(str(turn.get("from"))) if isinstance(turn, dict) else None
        if role is None:
            problem = f"must be an object whose `from` is one of {', '.join(_SHAREGPT)}"
            raise InvalidRequest((Violation(place, problem),))
        yield Message(role, read_content(turn.get("value"), f"{place}.value"))


def _read_pair(line: dict[str, Any]) -> Sequence[Transcript]:
    """A prompt in one column; its response, if there is such a column, in another."""
    prompt = _column(Role.USER, line, _PROMPTS)
    response = _column(Role.ASSISTANT, line, _RESPONSES)
    replies = (Reply(0, response),) if response else ()
    return (Transcript((prompt,) if prompt else (), replies, origin_of(line, line)),)


def _read_text(line: dict[str, Any]) -> Sequence[Transcript]:
    """A text alone is a user's, unless the line itself says whose it is."""
    role = Role.ASSISTANT if line.get("role") == Role.ASSISTANT.value else Role.USER
    text = _column(role, line, _TEXTS)
    return (transcript_of([text] if text else [], origin_of(line, line)),)


def _column(role: Role, line: dict[str, Any], keys: Sequence[str]) -> Message | None:
    key = next((key for key in keys if key in line), None)
    return Message(role, read_content(line[key], key)) if key else None


SHAPES = (
    Shape("OpenAI batch", _is_batch, read_batch),
    Shape("Anthropic messages", is_anthropic, read_anthropic),
    Shape("OpenAI chat completions", _is_chat, read_chat),
    Shape("messages", lambda line: "messages" in line, read_messages),
    Shape("ShareGPT", _is_sharegpt, _read_sharegpt),
    Shape("prompt and response", _is_pair, _read_pair),
    Shape("text", _is_text, _read_text),
)
