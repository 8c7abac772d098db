"""What of a transcript is judged: each thing as the conversation that ends with it.

Digests are chained along the messages, so that those of a long conversation are computed once.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b

from guard_service.conversation import Conversation, Message, Role
from guard_service.screening.transcript import Origin, Reply, Transcript

DIGEST_BYTES = 16


class Subject(Enum):
    LAST_USER = "last-user"  # as a service would have been asked before the generation
    USERS = "users"  # every user turn
    REPLY = "reply"  # as after the generation; every choice
    ALL = "all"  # every turn of every side, and the reply


@dataclass(frozen=True, slots=True)
class Place:
    file: str
    line: int  # from 1


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to judge."""

    place: Place
    message: int  # which of the conversation, from 0
    choice: int  # of several replies, or of several texts in one line
    conversation: Conversation
    digest: bytes  # equal for equal conversations
    origin: Origin = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gap:
    """What ought to be judged and is not, with its reason; never its text."""

    place: Place
    reason: str
    message: int | None = None  # None: the line as a whole
    choice: int = 0
    id: str = ""


def request_id(digest: bytes, policy_digest: str) -> str:
    """Under which it is asked: equal conversations draw the same sample, and one review item."""
    return f"screen-{digest.hex()}-{policy_digest[:16]}"


def items_of(
    place: Place, transcript: Transcript, subjects: Set[Subject], choice: int = 0
) -> Iterator[Item | Gap]:
    """In the order of the conversation."""
    messages, origin, digest = transcript.messages, transcript.origin, b""
    chosen = set(_chosen(messages, subjects))
    for number, message in enumerate(messages):
        digest = _extend(digest, message)
        if number in chosen and message.is_blank:
            reason = f"the {message.role.value} message is blank"
            yield Gap(place, reason, number, choice, origin.id)
        elif number in chosen:
            judged = Conversation(messages[: number + 1])
            yield Item(place, number, choice, judged, digest, origin)
    if reason := _missing(transcript, chosen, subjects):
        yield Gap(place, reason, None, choice, origin.id)
    if not subjects.isdisjoint((Subject.REPLY, Subject.ALL)):
        for reply in transcript.replies:
            yield _reply(place, transcript, reply, digest)


def _missing(transcript: Transcript, chosen: Set[int], subjects: Set[Subject]) -> str:
    """What was to be judged and is not there, if that is so."""
    if subjects == {Subject.REPLY}:
        return "" if transcript.replies else "no reply"
    is_reply_alone = transcript.replies and not transcript.messages
    return "" if chosen or is_reply_alone else "no user message"


def _chosen(messages: tuple[Message, ...], subjects: Set[Subject]) -> Iterator[int]:
    """Numbers of the messages to judge."""
    if Subject.ALL in subjects:
        yield from (n for n, message in enumerate(messages) if message.role is not Role.SYSTEM)
        return
    users = [n for n, message in enumerate(messages) if message.role is Role.USER]
    if Subject.USERS in subjects:
        yield from users
    elif Subject.LAST_USER in subjects:
        yield from users[-1:]


def _reply(place: Place, transcript: Transcript, reply: Reply, digest: bytes) -> Item | Gap:
    messages, message, origin = transcript.messages, reply.message, transcript.origin
    number = len(messages)
    if message is None or message.is_blank:
        reason = reply.problem or "the response is blank"
        return Gap(place, reason, number, reply.choice, origin.id)
    judged = Conversation((*messages, message))
    return Item(place, number, reply.choice, judged, _extend(digest, message), origin)


def _extend(digest: bytes, message: Message) -> bytes:
    """The digest of a conversation that goes on with this message. Lengths keep parts apart."""
    parts = [digest, message.role.value.encode(), message.content.encode()]
    for call in message.tool_calls:
        name = call.name.encode()
        parts += [b"\0%d " % len(name), name, call.arguments_json.encode()]
    sizes = b"%d " * len(parts) % tuple(map(len, parts))
    return blake2b(b"".join((sizes, *parts)), digest_size=DIGEST_BYTES).digest()
