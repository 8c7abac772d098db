"""The nouns that every format speaks of: an item that goes out, and an answer that comes in."""

import re
from dataclasses import dataclass, field
from typing import Any

from guard_service.conversation import Conversation, Message
from guard_service.errors import InvalidRequest, Violation
from guard_service.review.claim import Answer
from guard_service.review.item import Outcome, ReviewItem

_CODE = re.compile(r"S[1-9][0-9]?")
_MAX_NOTE, _MAX_NAME = 2000, 64


@dataclass(frozen=True, slots=True)
class Task:
    """`item.conversation` is None where the text is not kept, or not for who asked."""

    item: ReviewItem
    outcome: Outcome | None = None
    seen: tuple[str, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        conversation: Conversation | None = self.item.conversation
        return conversation.messages if conversation else ()

    @property
    def judged(self) -> int:
        """Which of the messages."""
        place = self.item.judged_message
        return len(self.messages) - 1 if place is None else place


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody answered elsewhere; `place` says where in the file."""

    item_id: str
    answer: Answer
    annotator: str = ""
    place: str = field(default="", compare=False)


def read_said(
    place: str, item_id: Any, outcome: Any, codes: Any, annotator: Any = "", note: Any = ""
) -> Said:
    """InvalidRequest, with the place, where it is no answer; values are never quoted."""
    if not isinstance(item_id, str) or not item_id:
        raise broken(f"{place}.item", "must be an item's id")
    if outcome not in {each.value for each in Outcome}:
        raise broken(f"{place}.outcome", "is upheld or overturned")
    if not isinstance(codes, list) or not all(
        isinstance(c, str) and _CODE.fullmatch(c) for c in codes
    ):
        raise broken(f"{place}.categories", "must be a list of S1 to S99")
    if not isinstance(note, str) or len(note) > _MAX_NOTE:
        raise broken(f"{place}.note", f"must be text of at most {_MAX_NOTE} characters")
    answer = Answer(Outcome(outcome), tuple(dict.fromkeys(codes)), note)
    return Said(item_id, answer, "" if annotator is None else str(annotator)[:_MAX_NAME], place)


def broken(place: str, problem: str) -> InvalidRequest:
    return InvalidRequest((Violation(place, problem),))


def whole(text: str) -> str:
    """The text with half surrogate pairs, which no file can hold, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def printable(text: str) -> str:
    """And without NUL, which the databases of other tools refuse."""
    return whole(text).replace("\x00", "\N{SYMBOL FOR NULL}")
