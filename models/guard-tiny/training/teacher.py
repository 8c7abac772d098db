"""What guard-tiny is taught besides labels: the mean margin of four models fitted on the rows.

TF-IDF with logistic regression, ridge regression on pairs of guard-tiny's own tokens, Universal
Sentence Encoder (USE) and, counting twice, MiniLM on English prompts and USE elsewhere. On
labelled rows the label itself is the lesson; the teachers judge the texts of `made.py`, which
nobody labelled.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from baseline import baseline_scorer
from encoders import Judge, MiniLM, UniversalSentenceEncoder
from encoding import Encoder
from made import made_rows
from rows import Row
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from tune import read_margins, tune
from vocabulary import plain_ids

USE_RATE, MINILM_RATE = 5e-4, 2e-4
CERTAIN = 3.4  # the margin that a label stands for


@dataclass(frozen=True, slots=True)
class Lessons:
    """P(unsafe) by the row's id; `made` are rows that exist for the teachers alone."""

    scores: dict[str, float]
    made: tuple[Row, ...]


def teach(
    train: tuple[Row, ...], others: list[str], encoder: Encoder, *, seed: int, cache: Path
) -> Lessons:
    """Takes most of an hour on two cores; what each teacher said is kept in the folder `cache`."""
    made = made_rows(train, others, random.Random(seed))
    short = [index for index, row in enumerate(made) if is_for_minilm(row)]

    def of_use() -> np.ndarray:
        judge = tune(Judge(UniversalSentenceEncoder()), list(train), rate=USE_RATE, seed=seed)
        return read_margins(judge, made)

    def of_minilm() -> np.ndarray:
        own = [row for row in train if is_for_minilm(row)]
        judge = tune(Judge(MiniLM()), own, rate=MINILM_RATE, seed=seed)
        return read_margins(judge, [made[index] for index in short])

    use = kept(cache / "use.npy", of_use)
    second = use.copy()
    second[short] = kept(cache / "minilm.npy", of_minilm)
    words = kept(cache / "words.npy", lambda: log_odds(baseline_scorer(train)(made)))
    neighbours = kept(cache / "pairs.npy", lambda: pairs(train, made, encoder))
    margins = (use + 2 * second + words + neighbours) / 5
    scores = {row.id: float(row.unsafe) for row in train}
    scores |= {row.id: float(1 / (1 + np.exp(-m))) for row, m in zip(made, margins, strict=True)}
    return Lessons(scores, tuple(made))


def is_for_minilm(row: Row) -> bool:
    """It knows English alone, and on long texts, as replies are, it is slow."""
    return row.lang == "en" and row.role == "user"


def kept(path: Path, margins: Callable[[], np.ndarray]) -> np.ndarray:
    if not path.exists():
        np.save(path, margins())
    return np.load(path)


def log_odds(scores: np.ndarray) -> np.ndarray:
    return np.log(scores / (1 - scores))


def pairs(train: tuple[Row, ...], made: list[Row], encoder: Encoder) -> np.ndarray:
    """Margins that ridge regression on single tokens and neighbours gives to `made`."""

    def pieces(text: str) -> list[str]:
        tokens = [str(token) for token in plain_ids(encoder.tokenizer, text)]
        return [*tokens, *map(" ".join, pairwise(tokens))]

    weights = TfidfVectorizer(analyzer=pieces, sublinear_tf=True, min_df=2)
    weights.fit([row.judged for row in train])

    def features(rows: Sequence[Row]) -> csr_matrix:
        role = np.array([[float(row.role == "assistant")] for row in rows])
        return hstack([weights.transform([row.judged for row in rows]), role]).tocsr()

    wanted = np.where([row.unsafe for row in train], CERTAIN, -CERTAIN)
    return Ridge(alpha=1.0, solver="lsqr").fit(features(train), wanted).predict(features(made))
