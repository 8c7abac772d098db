"""What is judged: a conversation, its messages and their roles. Knows no wire format."""

import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum

from guard_service.errors import ConversationTooLong, InvalidRequest, Violation


class Role(Enum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class Judge(Enum):
    """Which messages are judged; the worst of them is the verdict."""

    LAST = "last"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments_json: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str = field(repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = field(default="", repr=False)

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of all that a caller can fill; no tokenizer makes more tokens of it."""
        texts = [self.content, self.name]
        texts += [text for call in self.tool_calls for text in (call.name, call.arguments_json)]
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)

    @property
    def is_blank(self) -> bool:
        return not self.content.strip() and not self.tool_calls


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits: over them a conversation is refused whole, never cut."""

    max_messages: int = 1000
    max_conversation_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, oldest first; the last one is judged, with the earlier ones as its context."""

    messages: tuple[Message, ...]

    @property
    def judged(self) -> Message:
        return self.messages[-1]

    @property
    def num_bytes(self) -> int:
        return sum(message.num_bytes for message in self.messages)

    def digest(self) -> str:
        """SHA-256 over roles and texts: equal conversations have equal digests."""
        parts = [
            [m.role.value, m.content, m.name, [[c.name, c.arguments_json] for c in m.tool_calls]]
            for m in self.messages
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def check_conversation(conversation: Conversation, limits: Limits) -> None:
    """Refuse what cannot be judged (InvalidRequest) or is over a limit (ConversationTooLong)."""
    messages = conversation.messages
    if not messages:
        raise InvalidRequest((Violation("messages", "must hold at least one message"),))
    if len(messages) > limits.max_messages:
        problem = f"{len(messages)} messages, at most {limits.max_messages} are judged"
        raise ConversationTooLong((Violation("messages", problem),))
    num_bytes = conversation.num_bytes
    if num_bytes > limits.max_conversation_bytes:
        problem = f"{num_bytes} UTF-8 bytes, at most {limits.max_conversation_bytes} are judged"
        raise ConversationTooLong((Violation("messages", problem),))
    _check_judged(messages[-1], f"messages[{len(messages) - 1}]")


def _check_judged(judged: Message, field_name: str) -> None:
    if judged.role is Role.SYSTEM:
        problem = "the last message is the one judged, and a system message cannot be"
        raise InvalidRequest((Violation(f"{field_name}.role", problem),))
    if judged.is_blank:
        problem = "the last message is the one judged, and it is blank"
        raise InvalidRequest((Violation(f"{field_name}.content", problem),))
