"""What is asked in a measurement: seeded conversations of known length in the model's tokens."""

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard_service.conversation import Conversation, Message, Role
from guard_service.evaluation.labelled import require_labelled
from guard_service.prompt import turns

CountTokens = Callable[[str], int]

_TEXT = """
a about after again all also and any are as at back be because been before but by can come
could day did do down even every find first for from get give go good great had has have he help her
here him his home house how if in into is it its just keep know last life like little long look made
make man many may me men more most much must my name new no not now of off old on one only or other
our out over own part people place right said same say see she should so some still such take tell
than that the their them then there these they thing think this time to two under up us use very
want was water way we well went were what when where which who will with work world would year you
your
"""
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Workload:
    """Conversations of `tokens`, or log-normal around that median where there is a spread."""

    tokens: int
    spread: float = 0.0
    min_tokens: int = 20
    max_tokens: int = 2000

    def length(self, rng: random.Random) -> int:
        drawn = round(self.tokens * rng.lognormvariate(0, self.spread)) if self.spread else 0
        return min(max(drawn, self.min_tokens), self.max_tokens) if drawn else self.tokens


WORKLOADS = {
    "W100": Workload(100),
    "W300": Workload(300),
    "W1000": Workload(1000),
    "Wmix": Workload(150, spread=1.0),
}


def build_conversations(
    workload: Workload, num: int, count: CountTokens, seed: int = 0
) -> list[Conversation]:
    """`num` conversations, each of the drawn length or at most one word below it."""
    rng = random.Random(seed)
    return [_conversation(rng, workload.length(rng), count) for _ in range(num)]


def draw_rows(path: Path, num: int, unsafe_share: float, seed: int = 0) -> list[Conversation]:
    """`num` conversations drawn with replacement from labelled rows, this share of them unsafe."""
    rng, rows = random.Random(seed), list(require_labelled(path))
    kinds = {unsafe: [row for row in rows if row.is_unsafe is unsafe] for unsafe in (True, False)}
    num_unsafe = round(num * unsafe_share) if kinds[True] else 0
    drawn = rng.choices(kinds[True], k=num_unsafe) if num_unsafe else []
    drawn += rng.choices(kinds[False] or rows, k=num - num_unsafe)
    rng.shuffle(drawn)
    return [row.conversation for row in drawn]


def _conversation(rng: random.Random, num_tokens: int, count: CountTokens) -> Conversation:
    """A question, or for every other one a question and the reply that is judged."""
    words = rng.choices(_WORDS, k=num_tokens)
    roles = (Role.USER, Role.ASSISTANT) if rng.random() < 0.5 else (Role.USER,)

    def cut(num_words: int) -> Conversation:
        return _spoken(words[: max(num_words, len(roles))], roles)

    def counted(num_words: int) -> int:
        return sum(count(turn.prompt_text) for turn in turns(cut(num_words)))

    return cut(bisect_right(range(num_tokens + 1), num_tokens, key=counted) - 1)


def _spoken(words: Sequence[str], roles: Sequence[Role]) -> Conversation:
    share = -(-len(words) // len(roles))
    parts = [words[at : at + share] for at in range(0, len(words), share)]
    return Conversation(
        tuple(Message(role, " ".join(part)) for role, part in zip(roles, parts, strict=True))
    )
