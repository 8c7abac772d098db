"""What one line of a log tells: a conversation, the replies to it, and whose it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from guard_service.conversation import Message, Role

_IDS = ("id", "custom_id", "request_id", "conversation_id")
_USERS = ("user", "user_id")
_TIMES = ("created", "created_at", "timestamp", "time")
_MAX_SECONDS = 10**11  # above it an epoch counts milliseconds


@dataclass(frozen=True, slots=True)
class Origin:
    """What the log itself says of a line; empty or None where it does not."""

    id: str = ""
    time: int | None = None  # seconds since 1970, UTC
    user: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One choice of a response, or why there is none that can be judged."""

    choice: int
    message: Message | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation up to a reply, and the reply: several where several were drawn."""

    messages: tuple[Message, ...]
    replies: tuple[Reply, ...] = ()
    origin: Origin = Origin()


def transcript_of(messages: Sequence[Message], origin: Origin) -> Transcript:
    """Of a whole conversation: its last message is the reply, if the assistant wrote it."""
    if messages and messages[-1].role is Role.ASSISTANT:
        return Transcript(tuple(messages[:-1]), (Reply(0, messages[-1]),), origin)
    return Transcript(tuple(messages), (), origin)


def origin_of(line: dict[str, Any], request: dict[str, Any]) -> Origin:
    """From the line, or from the request within it, which may be the line itself."""
    return Origin(
        id=_text(_first(line, _IDS)),
        time=read_time(_first(line, _TIMES)),
        user=_text(_first(request, _USERS) or _first(line, _USERS)),
        model=_text(request.get("model") or line.get("model")),
    )


def read_time(value: Any) -> int | None:
    """Of an epoch in seconds or milliseconds, or of ISO 8601; None for anything else."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            value = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        seconds = int(value / 1000 if value > _MAX_SECONDS else value)
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if -_MAX_SECONDS < seconds < _MAX_SECONDS else None


def _first(values: dict[str, Any], keys: Sequence[str]) -> Any:
    for key in keys:
        if (value := values.get(key)) is not None:
            return value
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
