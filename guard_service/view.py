"""What of a conversation is put to the model: as written, cleaned of a disguise, turn by turn."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from guard_service.conversation import Conversation, Judge, Message, Role, ToolCall
from guard_service.disguise import clean
from guard_service.language import is_unsupported
from guard_service.prompt import side_of, turns
from guard_service.sign import TextSign

# Of what an earlier turn is read with. Whole messages; without a bound the cost would be quadratic.
_MAX_CONTEXT_MESSAGES = 8
_MAX_CONTEXT_BYTES = 2048


@dataclass(frozen=True, slots=True)
class View:
    """A conversation to be judged by its last message, which is number `message` of the request."""

    conversation: Conversation
    message: int
    is_cleaned: bool = False
    signs: frozenset[TextSign] = field(default=frozenset(), compare=False)


def read_views(conversation: Conversation, judge: Judge) -> tuple[View, ...]:
    """Every view that is to be read, the whole conversation's own first."""
    judged = [_whole(conversation)]
    if judge is Judge.ALL:
        judged += _earlier(conversation.messages)
    return tuple(view for one in judged for view in _with_cleaned(one))


def _whole(conversation: Conversation) -> View:
    return View(conversation, len(conversation.messages) - 1)


def _earlier(messages: tuple[Message, ...]) -> Iterator[View]:
    """Each turn before the last, as if the conversation had ended with it."""
    spoken = [n for n, message in enumerate(messages) if message.role is not Role.SYSTEM]
    groups = [list(group) for _, group in groupby(spoken, lambda n: side_of(messages[n]))]
    for group in groups[:-1]:
        if not all(messages[n].is_blank for n in group):
            start, end = _context_start(messages, group[0]), group[-1]
            yield View(Conversation(messages[start : end + 1]), end)


def _context_start(messages: tuple[Message, ...], first: int) -> int:
    room, start = _MAX_CONTEXT_BYTES, first
    while start > max(first - _MAX_CONTEXT_MESSAGES, 0):
        room -= messages[start - 1].num_bytes
        if room < 0:
            break
        start -= 1
    return start


def _with_cleaned(view: View) -> Iterator[View]:
    """The view as written; and cleaned beside it, if that is another text."""
    cleaned, signs = _clean(view.conversation)
    signs |= {sign for turn in turns(view.conversation) for sign in turn.signs}
    if cleaned != view.conversation:
        signs |= {sign for turn in turns(cleaned) for sign in turn.signs}
    if is_unsupported(turns(cleaned)[-1].text):
        signs |= {TextSign.UNSUPPORTED_LANGUAGE}
    yield replace(view, signs=frozenset(signs))
    if cleaned != view.conversation:
        yield View(cleaned, view.message, is_cleaned=True)


def _clean(conversation: Conversation) -> tuple[Conversation, set[TextSign]]:
    signs: set[TextSign] = set()

    def cleaned(text: str) -> str:
        marked = clean(text)
        signs.update(marked.signs)
        return marked.text

    messages = tuple(
        replace(
            message,
            content=cleaned(message.content),
            tool_calls=tuple(
                ToolCall(cleaned(call.name), cleaned(call.arguments_json))
                for call in message.tool_calls
            ),
        )
        for message in conversation.messages
    )
    return Conversation(messages), signs
