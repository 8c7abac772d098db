"""Texts without a label, for the teachers to judge: training rows spliced, thinned, reworded."""

import random
import re
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from rows import Message, Row

NUM_SPLICED, NUM_SWAPPED, NUM_THINNED, NUM_ODD = 64_000, 56_000, 32_000, 1_000
NUM_REPLIES = 80_000
LONGEST_PROMPT, LONGEST_REPLY = 500, 1200


def made_rows(train: tuple[Row, ...], others: list[str], rng: random.Random) -> list[Row]:
    """Prompts and replies; `others` are texts of no row, taken as they are."""
    prompts = [
        row.judged for row in train if row.role == "user" and len(row.judged) < LONGEST_PROMPT
    ]
    replies = [row.judged[:LONGEST_REPLY] for row in train if row.role == "assistant"]
    texts = [*made_prompts(prompts, rng), *(text[:LONGEST_PROMPT] for text in others)]
    talks = [(Message("user", text),) for text in dict.fromkeys(texts) if text.strip()]
    for text in made_replies(replies, prompts, rng):
        talks.append((Message("user", rng.choice(prompts)), Message("assistant", text)))
    return [
        Row(
            f"made-{number}",
            talk,
            unsafe=False,
            categories=(),
            source="made",
            lang=language(talk[-1].content),
        )
        for number, talk in enumerate(talks)
    ]


def made_prompts(prompts: list[str], rng: random.Random) -> list[str]:
    words = words_of(prompts)
    texts = [splice(rng.choice(prompts), rng.choice(prompts), rng) for _ in range(NUM_SPLICED)]
    texts += [swap_words(rng.choice(prompts), words, rng) for _ in range(NUM_SWAPPED)]
    texts += [thinned(rng.choice(prompts), rng) for _ in range(NUM_THINNED)]
    return texts + [odd_text(words, rng) for _ in range(NUM_ODD)]


def made_replies(replies: list[str], prompts: list[str], rng: random.Random) -> list[str]:
    """Long replies are taken more often: most rows are short ones of our own."""
    words, lengths = words_of(replies), list(accumulate(map(len, replies)))

    def reply() -> str:
        return rng.choices(replies, cum_weights=lengths)[0]

    kinds = (
        (0.35, lambda: splice(reply(), reply(), rng)),
        (0.30, lambda: thinned(splice(reply(), reply(), rng), rng)),
        (0.20, lambda: swap_words(swap_words(reply(), words, rng), words, rng)),
        (0.10, lambda: rng.choice(prompts)),
        (0.05, lambda: odd_text(words, rng)),
    )
    shares, makers = zip(*kinds, strict=True)
    return [make() for make in rng.choices(makers, shares, k=NUM_REPLIES)]


def words_of(texts: list[str]) -> list[str]:
    return sorted({word for text in texts for word in text.split()})


def in_small_letters(row: Row) -> Row:
    """The same row, whose lesson holds as well: tokens differ by case, meaning seldom does."""
    judged = Message(row.role, row.judged.lower())
    return replace(row, messages=(*row.messages[:-1], judged))


def language(text: str) -> str:
    """`en` where most words are plain ASCII and nothing says otherwise; a rough guess is enough."""
    return "en" if text.isascii() else ""


def splice(left: str, right: str, rng: random.Random) -> str:
    first, second = left.split(" "), right.split(" ")
    return " ".join([*first[: rng.randint(1, len(first))], *second[rng.randrange(len(second)) :]])


def swap_words(text: str, words: list[str], rng: random.Random) -> str:
    pieces = text.split(" ")
    for _ in range(rng.choice((1, 1, 2))):
        pieces[rng.randrange(len(pieces))] = rng.choice(words)
    return " ".join(pieces)


def thinned(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    start = rng.randrange(len(words))
    end = rng.randint(start + 1, len(words))
    part = [word for word in words[start:end] if rng.random() < 0.85]
    return " ".join(part) or text


def odd_text(words: list[str], rng: random.Random) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return (rng.choice(words) + " ") * rng.randint(2, 150)
    if kind == 1:
        return "".join(chr(rng.randint(33, 126)) for _ in range(rng.randint(1, 40)))
    if kind == 2:
        start = rng.choice((0x3040, 0x4E00, 0x410, 0x620, 0x1F600, 0x900, 0xE01, 0x1EA0))
        return "".join(chr(start + rng.randrange(40)) for _ in range(rng.randint(1, 60)))
    if kind == 3:
        return rng.choice("aAbkx0?.!\n#") * rng.randint(1, 300)
    if kind == 4:
        return "\n".join(rng.choice(words) for _ in range(rng.randint(1, 80)))
    return " ".join(rng.sample(words, rng.randint(1, 6)))


def wordnet_texts(folder: Path) -> list[str]:
    """Glosses and example sentences of a WordNet database folder (Debian's `wordnet-base`)."""
    texts: list[str] = []
    for name in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{name}").read_text(encoding="utf-8").splitlines():
            if line[:1].isdigit():
                lemma = line.split(" ")[4].replace("_", " ")
                gloss = line.partition(" | ")[2].strip()
                texts += re.findall(r'"([^"]{12,})"', gloss)
                texts.append(f"{lemma}: {gloss.split(';')[0]}")
    return texts
