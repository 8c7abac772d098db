"""What guard-tiny is taught besides labels: the mean margin of four models fitted on the rows.

TF-IDF with logistic regression, ridge regression on pairs of guard-tiny's own tokens, Universal
Sentence Encoder and, for English, MiniLM. On labelled rows the label itself is the lesson; the
teachers judge the texts of `made.py`, which nobody labelled.
"""

import pickle
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
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
    """Takes about fifteen minutes on two cores; what was found is kept in the folder `cache`."""
    if (cache / "lessons.pkl").exists():
        kept: Lessons = pickle.loads((cache / "lessons.pkl").read_bytes())
        return kept
    made = made_rows(train, others, random.Random(seed))
    use = tuned(Judge(UniversalSentenceEncoder()), list(train), USE_RATE, seed, cache / "use.pt")
    own = [row for row in train if row.lang == "en"]
    minilm = tuned(Judge(MiniLM()), own, MINILM_RATE, seed, cache / "minilm.pt")
    shares = baseline_scorer(train)(made)
    everyone = (read_margins(use, made), np.log(shares / (1 - shares)), pairs(train, made, encoder))
    margins = [list(of_row) for of_row in zip(*everyone, strict=True)]
    english = [index for index, row in enumerate(made) if row.lang == "en"]
    for index, margin in zip(
        english, read_margins(minilm, [made[i] for i in english]), strict=True
    ):
        margins[index].append(margin)
    scores = {row.id: float(row.unsafe) for row in train}
    for row, of_row in zip(made, margins, strict=True):
        scores[row.id] = float(1 / (1 + np.exp(-np.mean(of_row))))
    found = Lessons(scores, tuple(made))
    (cache / "lessons.pkl").write_bytes(pickle.dumps(found))
    return found


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


def tuned(judge: Judge, rows: list[Row], rate: float, seed: int, kept: Path) -> Judge:
    if kept.exists():
        judge.load_state_dict(torch.load(kept, weights_only=True))
        return judge.eval()
    tune(judge, rows, learning_rate=rate, seed=seed)
    torch.save(judge.state_dict(), kept)
    return judge
