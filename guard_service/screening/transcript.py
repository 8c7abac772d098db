"""What one line of a log tells: a conversation, the replies to it, and whose it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from guard_service.conversation import Message, Role

_IDS = ("id", "custom_id", "request_id", "conversation_id")
_TIMES = ("created", "created_at", "timestamp", "time")
_MAX_SECONDS = 10**11  # above it an epoch counts milliseconds


@dataclass(frozen=True, slots=True)
class Origin:
    """What the log itself says of a line; empty or None where it does not."""

    id: str = ""
    time: datetime | None = None  # UTC
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


def origin_of(line: Mapping[str, Any], request: Mapping[str, Any]) -> Origin:
    """From the line, or from the request within it, which may be the line itself."""
    return Origin(
        id=_first_text(line, _IDS),
        time=read_time(next((line[key] for key in _TIMES if key in line), None)),
        user=_first_text(request, ("user", "user_id")) or _first_text(line, ("user", "user_id")),
        model=_first_text(request, ("model",)) or _first_text(line, ("model",)),
    )


def read_time(value: Any) -> datetime | None:
    """Of an epoch in seconds or milliseconds, or of ISO 8601; None for anything else."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        return datetime.fromtimestamp(value / 1000 if value > _MAX_SECONDS else value, UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _first_text(values: Mapping[str, Any], keys: Sequence[str]) -> str:
    found = next((values[key] for key in keys if values.get(key) is not None), "")
    return found if isinstance(found, str) else str(found) if isinstance(found, int) else ""
