"""Soft targets: what TF-IDF and logistic regression say of rows that they were not fitted on."""

import random
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from baseline import baseline_scorer
from rows import Message, Row
from teacher import Lesson, Lessons, splice, swap_words

FOLDS = 4
NUM_SPLICED, NUM_SWAPPED, NUM_THINNED, NUM_REPLIES, NUM_ODD = 9000, 7000, 5000, 6000, 800


def _fold(rows: tuple[Row, ...], number: int) -> np.ndarray:
    mine = [row for index, row in enumerate(rows) if index % FOLDS == number]
    rest = [row for index, row in enumerate(rows) if index % FOLDS != number]
    return baseline_scorer(rest)(mine)


def _whole(rows: tuple[Row, ...], some: list[Row]) -> np.ndarray:
    return baseline_scorer(rows)(some)


def distil(
    train: tuple[Row, ...], others: list[Row], *, seed: int, label_share: float
) -> tuple[Lessons, np.ndarray]:
    """Lessons, and the baseline's scores of `others` (for the table alone)."""
    made = made_rows(train, random.Random(seed))
    with ProcessPoolExecutor(2) as pool:
        whole = pool.submit(_whole, train, [*made, *others])
        folds = [pool.submit(_fold, train, number) for number in range(FOLDS)]
        unseen = np.zeros(len(train))
        for number, fold in enumerate(folds):
            unseen[number::FOLDS] = fold.result()
        scores = whole.result()
    lessons = {
        row.id: Lesson(None, label_share * row.unsafe + (1 - label_share) * float(score))
        for row, score in zip(train, unseen, strict=True)
    }
    lessons |= {
        row.id: Lesson(None, float(s)) for row, s in zip(made, scores[: len(made)], strict=True)
    }
    return Lessons(lessons, tuple(made)), scores[len(made) :]


def made_rows(train: tuple[Row, ...], rng: random.Random) -> list[Row]:
    prompts = [r.judged for r in train if r.role == "user" and len(r.judged) < 500]
    replies = [r for r in train if r.role == "assistant"]
    words = sorted({word for text in prompts for word in text.split()})
    texts = [splice(rng.choice(prompts), rng.choice(prompts), rng) for _ in range(NUM_SPLICED)]
    texts += [swap_words(rng.choice(prompts), words, rng) for _ in range(NUM_SWAPPED)]
    texts += [thinned(rng.choice(prompts), rng) for _ in range(NUM_THINNED)]
    texts += [odd_text(words, rng) for _ in range(NUM_ODD)]
    talks = [(Message("user", text),) for text in dict.fromkeys(texts) if text.strip()]
    for _ in range(NUM_REPLIES):
        left, right = rng.choice(replies), rng.choice(replies)
        text = splice(left.judged[:1500], right.judged[:1500], rng)
        text = rng.choice((text, thinned(text, rng)))
        if rng.random() < 0.1:
            text = odd_text(words, rng)
        talks.append((Message("user", rng.choice(prompts)), Message("assistant", text)))
    return [
        Row(f"made-{number}", talk, unsafe=False, categories=(), source="made")
        for number, talk in enumerate(talks)
    ]


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
