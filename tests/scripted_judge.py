"""A judge without a model: what it says of a conversation follows from its digest alone."""

from collections.abc import Sequence
from functools import cache

from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.row import Judged
from guard_service.screening.subject import Item
from guard_service.verdict import Reading

CODES = tuple(f"S{number}" for number in range(1, 15))
JUDGED = Judged("test", "1", "digest", "scripted", "none", CODES)


def judgement(item: Item) -> Judgement:
    return _judgement(item.digest[0])


@cache
def _judgement(number: int) -> Judgement:
    score, code = number / 255, CODES[number % 14]
    is_unsafe = score >= 0.5
    codes = (code,) if is_unsafe else ()
    shares = tuple(0.35 if each == code else 0.05 for each in CODES)
    return Judgement(
        action="block" if is_unsafe else "allow",
        needs_review=is_unsafe,
        is_unsafe=is_unsafe,
        codes=codes,
        worst=Reading(score, 0.999, shares, codes),
        others=(),
        assessment="complete",
        judged_chars=100,
        total_chars=100,
        signs=(),
    )


class ScriptedJudge:
    """Cannot judge what says "unreadable"; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        self.asked += [item.digest for item in items]
        return [
            Unjudged("the model could not read it")
            if "unreadable" in item.conversation.judged.content
            else judgement(item)
            for item in items
        ]
