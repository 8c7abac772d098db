"""Variations of training rows that keep their label: other context, other spelling."""

import random
import string
from dataclasses import dataclass, replace

from rows import Message, Row

LOWER, UPPER, TYPOS, NO_END, WORD_LOSS = 0.15, 0.03, 0.12, 0.15, 0.4
TYPO_RATE, WORD_LOSS_RATE = 0.03, 0.1
EARLIER_TURNS = 0.2


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Earlier turns to put before a row: a user's message and the assistant's reply."""

    pairs: tuple[tuple[str, str], ...]
    prompts: tuple[str, ...]

    def draw(self, rng: random.Random) -> tuple[Message, Message]:
        user, reply = rng.choice(self.pairs)
        return Message("user", user), Message("assistant", reply)


def exchanges_of(rows: tuple[Row, ...]) -> Exchanges:
    pairs = [
        (row.messages[-2].content, row.judged)
        for row in rows
        if row.role == "assistant" and len(row.messages) > 1 and len(row.judged) < 400
    ]
    prompts = [row.judged for row in rows if row.role == "user" and row.unsafe]
    return Exchanges(tuple(p for p in pairs if not p[0].isdigit()), tuple(prompts))


def vary(row: Row, exchanges: Exchanges, rng: random.Random) -> Row:
    messages = row.messages
    if messages[0].content.isdigit() and rng.random() < 0.6:
        messages = (Message("user", rng.choice(exchanges.prompts)), *messages[1:])
    if len(messages) <= 2 and rng.random() < EARLIER_TURNS:
        for _ in range(rng.choice((1, 1, 2))):
            messages = (*exchanges.draw(rng), *messages)
    judged = Message(row.role, respell(row.judged, rng))
    return replace(row, messages=(*messages[:-1], judged))


def respell(text: str, rng: random.Random) -> str:
    """Text with other case, a few typing errors, a lost word or a lost full stop."""
    if rng.random() < LOWER:
        text = text.lower()
    elif rng.random() < UPPER:
        text = text.upper()
    if rng.random() < NO_END:
        text = text.rstrip(".?! ") or text
    if rng.random() < WORD_LOSS and text.count(" ") > 5:
        words = [word for word in text.split(" ") if rng.random() > WORD_LOSS_RATE]
        text = " ".join(words) or text
    if rng.random() < TYPOS:
        text = "".join(_typo(letter, rng) for letter in text)
    return text


def _typo(letter: str, rng: random.Random) -> str:
    if letter not in string.ascii_letters or rng.random() > TYPO_RATE:
        return letter
    return rng.choice(("", letter * 2, rng.choice(string.ascii_lowercase)))
