"""Rows to token ids, in the service's own prompt."""

from dataclasses import dataclass
from functools import cached_property

from rows import Message, Row
from tokenizers import Tokenizer
from vocabulary import plain_ids

from guard_service.conversation import Conversation, Role
from guard_service.conversation import Message as ServiceMessage
from guard_service.prompt import preamble, tail, turns
from guard_service.taxonomy import TAXONOMY

SIDES = {"user": "User", "assistant": "Agent"}


def fixed_text() -> str:
    """All words of the prompt that are not the conversation's, for both roles."""
    pieces = [preamble(s, TAXONOMY.values()) + f"{s}: \n\n" + tail(s) for s in SIDES.values()]
    return "\n".join(["user\n\n", *pieces, "assistant\n\n"])


@dataclass(frozen=True)
class Encoder:
    """Encodes rows with guard-tiny's own tokenizer."""

    tokenizer: Tokenizer
    context: int

    def control(self, name: str) -> int:
        token = self.tokenizer.token_to_id(f"<|{name}|>")
        assert token is not None, name
        return token

    def word(self, text: str) -> int:
        (token,) = plain_ids(self.tokenizer, text)
        return token

    @cached_property
    def verdicts(self) -> tuple[int, int]:
        """Ids of `safe` and `unsafe`."""
        return self.word("safe"), self.word("unsafe")

    def prompt(self, row: Row) -> list[int]:
        """The whole prompt; the oldest tokens of a long conversation are left out."""
        prefix, closing = self._frames[row.role]
        room = self.context - len(prefix) - len(closing)
        *earlier, judged = self.turn_ids(row.messages)
        judged = _cut(judged, room)
        before = [token for turn in earlier for token in turn]
        before = before[max(0, len(before) - (room - len(judged))) :]
        return [*prefix, *before, *judged, *closing]

    def pooled(self, row: Row, length: int) -> list[int]:
        """What stands between `BEGIN CONVERSATION` and `LAST`, of the judged turn alone."""
        judged = _cut(self.turn_ids(row.messages[-1:])[0], length)
        prefix, closing = self._frames[row.role]
        return [*prefix[-2:], *judged, *closing[: closing.index(self.word(" LAST"))]]

    def turn_ids(self, messages: tuple[Message, ...]) -> list[list[int]]:
        spoken = tuple(ServiceMessage(Role(m.role), m.content) for m in messages)
        return [plain_ids(self.tokenizer, turn.prompt_text) for turn in turns(Conversation(spoken))]

    @cached_property
    def _frames(self) -> dict[str, tuple[list[int], list[int]]]:
        return {role: (self._prefix(side), self._tail(side)) for role, side in SIDES.items()}

    def _prefix(self, side: str) -> list[int]:
        text = "\n\n" + preamble(side, TAXONOMY.values())
        opening = [self.control("begin_of_text"), *self._header("user")]
        return [*opening, *plain_ids(self.tokenizer, text)]

    def _tail(self, side: str) -> list[int]:
        header = [*self._header("assistant"), *plain_ids(self.tokenizer, "\n\n")]
        return [*plain_ids(self.tokenizer, tail(side)), self.control("eot_id"), *header]

    def _header(self, name: str) -> list[int]:
        start, end = self.control("start_header_id"), self.control("end_header_id")
        return [start, *plain_ids(self.tokenizer, name), end]


def _cut(ids: list[int], room: int) -> list[int]:
    """The opening and the end of a long turn: its side and its blank line stay."""
    return ids if len(ids) <= room else [*ids[: room - 1], ids[-1]]
