"""Short ways to write conversations and policies in tests."""

from typing import Any

from guard_service.conversation import Conversation, Message, Role
from guard_service.policy import Policy


def user(text: str) -> Message:
    return Message(Role.USER, text)


def assistant(text: str) -> Message:
    return Message(Role.ASSISTANT, text)


def conversation(*messages: Message | str) -> Conversation:
    """Messages as given; bare strings are the user's."""
    return Conversation(tuple(user(m) if isinstance(m, str) else m for m in messages))


def policy(**values: Any) -> Policy:
    """A policy of all 14 categories with some values set."""
    defaults = {"id": "test", "version": "1", "categories": {f"S{n}": {} for n in range(1, 15)}}
    return Policy.model_validate(defaults | values)
