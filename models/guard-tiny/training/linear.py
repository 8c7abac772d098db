"""The linear model that the network starts from, on the features that its attention gives."""

import numpy as np
from encoding import Encoder
from rows import Row
from scipy.sparse import csr_matrix, vstack
from sklearn.linear_model import LogisticRegression, Ridge
from structure import Evidence
from vocabulary import VOCABULARY, plain_ids

SIDES = {"user": "User", "assistant": "Agent"}
SINK = 8.0


def pieces(encoder: Encoder, row: Row) -> list[int]:
    return plain_ids(encoder.tokenizer, f"{SIDES[row.role]}: {row.judged}\n\n")[:800]


def salience_of(ids: list[list[int]], alpha: float) -> np.ndarray:
    seen = np.zeros(VOCABULARY)
    for row in ids:
        seen[list(set(row))] += 1
    idf = np.log((1 + len(ids)) / (1 + seen))
    return alpha * np.clip(idf - 4.0, -4, 3)


def features(ids: list[list[int]], salience: np.ndarray) -> csr_matrix:
    weight = np.exp(salience)
    at, which, value = [], [], []
    for number, row in enumerate(ids):
        found = weight[row]
        at += [number] * len(row)
        which += row
        value += list(found / (found.sum() + SINK))
    return csr_matrix((value, (at, which)), shape=(len(ids), VOCABULARY))


def fit_evidence(
    rows: list[Row], soft: np.ndarray, encoder: Encoder, *, alpha: float, strength: float
) -> Evidence:
    """`soft` is the P(unsafe) to be learnt; categories come from the unsafe rows that have one."""
    ids = [pieces(encoder, row) for row in rows]
    salience = salience_of(ids, alpha)
    x = features(ids, salience)
    role = np.array([row.role == "assistant" for row in rows])
    columns, bias = [], []
    for chosen in (~role, role, np.ones(len(rows), bool)):
        found = fit_soft(x[chosen], soft[chosen], strength)
        columns.append(found.coef_[0])
        bias.append(float(found.intercept_[0]))
    tagged = [i for i, row in enumerate(rows) if row.unsafe and row.categories]
    marks = np.zeros((len(tagged), 14))
    for place, index in enumerate(tagged):
        for code in rows[index].categories:
            marks[place, int(code[1:]) - 1] = 1
    ridge = Ridge(alpha=0.3, solver="sparse_cg").fit(x[tagged], marks)
    spread = np.std(columns[0][np.bincount(np.concatenate(ids), minlength=VOCABULARY) > 5])
    per_category = ridge.coef_ / (ridge.coef_.std() + 1e-9) * spread
    weights = np.vstack([*columns, per_category]).T
    return Evidence(weights, 0.45 / float(spread), (bias[0], bias[1]), salience)


def fit_soft(x: csr_matrix, soft: np.ndarray, strength: float) -> LogisticRegression:
    """Logistic regression on probabilities: each row counts once for each side."""
    y = np.r_[np.ones(len(soft)), np.zeros(len(soft))]
    weight = np.r_[soft, 1 - soft]
    keep = weight > 1e-3
    return LogisticRegression(C=strength, max_iter=200).fit(
        vstack([x, x]).tocsr()[keep], y[keep], sample_weight=weight[keep]
    )
