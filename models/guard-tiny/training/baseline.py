"""The model to beat: TF-IDF and logistic regression on the same rows and the same inputs."""

from collections.abc import Callable, Iterable

import numpy as np
from rows import Row
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

Scorer = Callable[[list[Row]], np.ndarray]


def baseline_scorer(train: Iterable[Row]) -> Scorer:
    """Words (1-2) and characters (3-5) weighted by TF-IDF, the role, logistic regression."""
    rows = list(train)
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    letters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=3, max_features=200_000
    )
    pieces = make_union(words, letters).fit([row.judged for row in rows])

    def features(some: list[Row]) -> csr_matrix:
        role = np.array([[float(row.role == "assistant")] for row in some])
        return hstack([pieces.transform([row.judged for row in some]), role]).tocsr()

    regression = LogisticRegression(C=10, max_iter=2000)
    regression.fit(features(rows), [row.unsafe for row in rows])
    return lambda some: regression.predict_proba(features(some))[:, 1]
