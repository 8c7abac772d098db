"""Rows to token ids, in the service's own prompt: a prefix for each role, a tail, the answer."""

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


@dataclass(frozen=True, slots=True)
class Example:
    """What one row adds to the prefix; `verdict_at` is the position that predicts the verdict."""

    ids: tuple[int, ...]
    num_text: int
    judged_from: int
    verdict_at: int
    num_answer: int
    unsafe: bool
    row: Row


@dataclass(frozen=True)
class Encoder:
    """Encodes text with the tokenizer given, and the fixed pieces with it too."""

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

    def prefix(self, role: str, dropped: frozenset[str] = frozenset()) -> list[int]:
        categories = [c for code, c in TAXONOMY.items() if code not in dropped]
        text = "\n\n" + preamble(SIDES[role], categories)
        opening = [self.control("begin_of_text"), *self._header("user")]
        return [*opening, *plain_ids(self.tokenizer, text)]

    def tail(self, role: str) -> list[int]:
        return [*plain_ids(self.tokenizer, tail(SIDES[role])), *self._closing()]

    def turn_ids(self, messages: tuple[Message, ...], source: Tokenizer) -> list[list[int]]:
        spoken = tuple(ServiceMessage(Role(m.role), m.content) for m in messages)
        return [plain_ids(source, turn.prompt_text) for turn in turns(Conversation(spoken))]

    def answer(self, row: Row) -> list[int]:
        """The answer to be learnt; without known categories it stops after `S`."""
        if row.source == "made":
            return [self.verdicts[0]]
        if not row.unsafe:
            return [self.verdicts[0], self.control("eot_id")]
        if not row.categories:
            return plain_ids(self.tokenizer, "unsafe\nS")
        codes = sorted(set(row.categories), key=lambda code: int(code[1:]))
        return [*plain_ids(self.tokenizer, "unsafe\n" + ",".join(codes)), self.control("eot_id")]

    def example(
        self, row: Row, *, source: Tokenizer | None = None, max_text: int | None = None
    ) -> Example:
        """Encodes a row; `source` may be a tokenizer with BPE dropout, used for the turns alone."""
        tail_ids = self.tail(row.role)
        room = self.context - len(self.prefix(row.role)) - len(tail_ids)
        room = min(room, max_text or room)
        pieces = self.turn_ids(row.messages, source or self.tokenizer)
        judged = pieces[-1] if len(pieces[-1]) <= room else _cut(pieces[-1], room)
        earlier = [token for piece in pieces[:-1] for token in piece]
        earlier = earlier[max(0, len(earlier) - (room - len(judged))) :]
        text, answer = [*earlier, *judged], self.answer(row)
        return Example(
            ids=(*text, *tail_ids, *answer),
            num_text=len(text),
            judged_from=len(earlier),
            verdict_at=len(text) + len(tail_ids) - 1,
            num_answer=len(answer),
            unsafe=row.unsafe,
            row=row,
        )

    def reading(self, row: Row, *, source: Tokenizer, max_tokens: int) -> Example:
        """The judged turn alone and the header of the answer, without the question between."""
        judged = self.turn_ids(row.messages[-1:], source)[0]
        text = judged if len(judged) <= max_tokens else _cut(judged, max_tokens)
        ids = (*text, *self._closing())
        return Example(
            ids=ids,
            num_text=len(text),
            judged_from=0,
            verdict_at=len(ids) - 1,
            num_answer=0,
            unsafe=row.unsafe,
            row=row,
        )

    def _closing(self) -> list[int]:
        header = [*self._header("assistant"), *plain_ids(self.tokenizer, "\n\n")]
        return [self.control("eot_id"), *header]

    def _header(self, name: str) -> list[int]:
        start, end = self.control("start_header_id"), self.control("end_header_id")
        return [start, *plain_ids(self.tokenizer, name), end]


def _cut(ids: list[int], room: int) -> list[int]:
    """The opening and the end of a long turn: its side and its blank line stay."""
    return [*ids[: room - 1], ids[-1]]
