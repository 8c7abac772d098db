"""What guard-tiny is taught besides labels: the mean margin of three models tuned on the rows.

TF-IDF with logistic regression, Universal Sentence Encoder and, for English, MiniLM. On labelled
rows the label itself is the lesson; the teachers judge the texts of `made.py`, which nobody
labelled.
"""

import pickle
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from baseline import baseline_scorer
from encoders import Judge, MiniLM, UniversalSentenceEncoder
from made import made_rows
from rows import Row
from tune import read_texts, tune

USE_RATE, MINILM_RATE = 5e-4, 2e-4


@dataclass(frozen=True, slots=True)
class Lesson:
    """P(unsafe) of the judged text, and the vectors in which the two encoders see it.

    `close` is MiniLM's, which reads English alone.
    """

    unsafe_score: float
    wide: np.ndarray
    close: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Lessons:
    """Lessons by the row's id; `made` are rows that exist for the teachers alone."""

    by_id: dict[str, Lesson]
    made: tuple[Row, ...]


def teach(train: tuple[Row, ...], others: list[str], *, seed: int, cache: Path) -> Lessons:
    """Takes about twenty minutes on two cores; what was found is kept in the folder `cache`."""
    if (cache / "lessons.pkl").exists():
        kept: Lessons = pickle.loads((cache / "lessons.pkl").read_bytes())
        return kept
    made = made_rows(train, others, random.Random(seed))
    rows = [*train, *made]
    english = [row for row in rows if row.lang == "en"]
    use = tuned(Judge(UniversalSentenceEncoder()), list(train), USE_RATE, seed, cache / "use.pt")
    wide, wide_vectors = read_texts(use, rows)
    own = [row for row in train if row.lang == "en"]
    minilm = tuned(Judge(MiniLM()), own, MINILM_RATE, seed, cache / "minilm.pt")
    close, close_vectors = read_texts(minilm, english)
    near = {
        row.id: pair
        for row, pair in zip(english, zip(close, close_vectors, strict=True), strict=True)
    }
    shares = np.concatenate([[float(row.unsafe) for row in train], baseline_scorer(train)(made)])
    lessons = {}
    for row, margin, vector, share in zip(rows, wide, wide_vectors, shares, strict=True):
        closer = near.get(row.id)
        if row.source == "made":
            margins = [margin, np.log(share / (1 - share)), *(closer[:1] if closer else ())]
            share = 1 / (1 + np.exp(-np.mean(margins)))
        lessons[row.id] = Lesson(float(share), vector, closer[1] if closer else None)
    found = Lessons(lessons, tuple(made))
    (cache / "lessons.pkl").write_bytes(pickle.dumps(found))
    return found


def tuned(judge: Judge, rows: list[Row], rate: float, seed: int, kept: Path) -> Judge:
    if kept.exists():
        judge.load_state_dict(torch.load(kept, weights_only=True))
        return judge.eval()
    tune(judge, rows, learning_rate=rate, seed=seed)
    torch.save(judge.state_dict(), kept)
    return judge
