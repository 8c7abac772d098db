"""Items of a screening, each of one message of a user."""

from guard_service.conversation import Message, Role
from guard_service.screening.subject import Item, Place, Subject, items_of
from guard_service.screening.transcript import Transcript


def items(*texts: str) -> list[Item]:
    entries = [
        entry
        for text in texts
        for entry in items_of(
            Place("log", 1), Transcript((Message(Role.USER, text),)), {Subject.LAST_USER}
        )
    ]
    return [entry for entry in entries if isinstance(entry, Item)]
