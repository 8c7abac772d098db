"""For lines of no known shape: a file that says where things are, in TOML or JSON.

messages = "dialogue.turns"      # a list; or `text`, or `prompt` and `response`
role = "speaker"                 # keys within each of the messages
content = "utterance"
id = "meta.id"                   # also user, model, time
[roles]
customer = "user"
bot = "assistant"
"""

import hashlib
import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from guard_service.conversation import Message, Role
from guard_service.errors import InvalidRequest, ScreeningRefused, Violation
from guard_service.screening.messages import read_content
from guard_service.screening.shape import Shape
from guard_service.screening.transcript import (
    Origin,
    Reply,
    Transcript,
    read_time,
    transcript_of,
)

Path_ = Annotated[str, Field(min_length=1)]  # "a.b.0": keys, and numbers in lists


class Mapped(BaseModel):
    """Where things are in a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages: Path_ | None = None
    text: Path_ | None = None
    prompt: Path_ | None = None
    response: Path_ | None = None
    role: Path_ = "role"
    content: Path_ = "content"
    roles: dict[str, Role] = Field(default_factory=dict)
    id: Path_ = "id"
    user: Path_ = "user"
    model: Path_ = "model"
    time: Path_ = "time"

    @model_validator(mode="after")
    def _has_one_subject(self) -> Self:
        given = [name for name in ("messages", "text", "prompt") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("needs one of messages, text and prompt")
        return self


def mapping_digest(path: Path | None) -> str:
    """SHA-256 of the file; empty without one."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


def read_mapping(path: Path) -> Shape:
    """The shape that the file tells of, or ScreeningRefused with every problem."""
    try:
        text = path.read_text(encoding="utf-8")
        values = orjson.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        mapped = Mapped.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)
        raise ScreeningRefused(f"{path}: {told}") from None
    except (OSError, ValueError) as error:
        raise ScreeningRefused(f"{path}: {error}") from None
    return Shape(f"mapping {path.name}", lambda _: True, partial(_read, mapped))


def _read(mapped: Mapped, line: dict[str, Any]) -> Sequence[Transcript]:
    origin = Origin(
        id=_text(line, mapped.id),
        time=read_time(_find(line, mapped.time)),
        user=_text(line, mapped.user),
        model=_text(line, mapped.model),
    )
    if mapped.messages:
        return (transcript_of(_messages(mapped, _find(line, mapped.messages)), origin),)
    path = mapped.text or mapped.prompt or ""
    prompt = Message(Role.USER, read_content(_find(line, path), path))
    if mapped.response is None:
        return (Transcript((prompt,), (), origin),)
    response = Message(Role.ASSISTANT, read_content(_find(line, mapped.response), mapped.response))
    return (Transcript((prompt,), (Reply(0, response),), origin),)


def _messages(mapped: Mapped, turns: Any) -> list[Message]:
    if not isinstance(turns, list):
        raise InvalidRequest((Violation(str(mapped.messages), "must be a list"),))
    return [_message(mapped, turn, f"{mapped.messages}.{n}") for n, turn in enumerate(turns)]


def _message(mapped: Mapped, turn: Any, place: str) -> Message:
    written = _find(turn, mapped.role)
    known = {role.value: role for role in Role} | mapped.roles
    if not isinstance(written, str) or written not in known:
        raise InvalidRequest((Violation(f"{place}.{mapped.role}", "is no role of the mapping"),))
    content = read_content(_find(turn, mapped.content), f"{place}.{mapped.content}")
    return Message(known[written], content)


def _text(line: Any, path: str) -> str:
    found = _find(line, path)
    return str(found) if isinstance(found, str | int) else ""


def _find(value: Any, path: str) -> Any:
    """What lies at the path; None where nothing does."""
    for key in path.split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
