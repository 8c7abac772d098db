"""Scores a saved guard-tiny on the held-out sources, next to a TF-IDF baseline.

    python models/guard-tiny/training/evaluate.py --data DIR --model models/guard-tiny

Scores come from whole prompts through transformers, as the service reads them.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from baseline import Scorer, baseline_scorer
from encoding import Encoder
from reading import load, read
from rows import Row, read_jsonl, row_from_record, split_rows

from guard_service.evaluation.figures import Sample, measure, resamples

NUM_RESAMPLES = 2000


def model_scorer(model: LlamaForCausalLM, encoder: Encoder) -> Scorer:
    return lambda rows: np.array([reading.score for reading in read(model, encoder, rows)])


@dataclass(frozen=True, slots=True)
class Figures:
    num_rows: int
    num_unsafe: int
    f1: float | None
    auprc: float | None
    recall: float | None
    fpr: float | None

    def cells(self) -> str:
        numbers = (self.f1, self.auprc, self.recall, self.fpr)
        return " | ".join("-" if n is None else f"{n:.3f}" for n in numbers)


def figures(unsafe: np.ndarray, scores: np.ndarray) -> Figures:
    found = {
        name: value.item() for name, value in measure(Sample(unsafe, scores >= 0.5, scores)).items()
    }
    told = {
        name: None if np.isnan(found[name]) else found[name] for name in ("auprc", "recall", "fpr")
    }
    is_mixed = bool(unsafe.any() and not unsafe.all())
    return Figures(len(unsafe), int(unsafe.sum()), found["f1"] if is_mixed else None, **told)


def table(groups: dict[str, list[Row]], scorers: dict[str, Scorer]) -> str:
    head = "| held-out source | rows (unsafe) | model | F1 | AUPRC | recall | FPR |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for name, rows in groups.items():
        unsafe = np.array([row.unsafe for row in rows])
        for label, scorer in scorers.items():
            found = figures(unsafe, scorer(rows))
            count = f"{found.num_rows} ({found.num_unsafe})"
            lines.append(f"| {name} | {count} | {label} | {found.cells()} |")
    return "\n".join(lines)


def differences(rows: list[Row], scorers: dict[str, Scorer], seed: int) -> str:
    """The first scorer less the second, and what 95 % of resamples of the same rows give."""
    unsafe = np.array([row.unsafe for row in rows])
    scores = [scorer(rows) for scorer in scorers.values()]
    ours, theirs = (Sample(unsafe, each >= 0.5, each) for each in scores)
    weights = list(resamples(len(rows), NUM_RESAMPLES, seed))
    cells = []
    for figure in ("f1", "auprc", "fpr"):
        found = measure(ours)[figure].item() - measure(theirs)[figure].item()
        spread = [measure(ours, w)[figure] - measure(theirs, w)[figure] for w in weights]
        low, high = np.percentile(np.concatenate(spread), (2.5, 97.5))
        cells.append(f"{found:+.3f} ({low:+.3f} to {high:+.3f})")
    return " | ".join(cells)


def grouped(held_out: dict[str, tuple[Row, ...]], hard: list[Row]) -> dict[str, list[Row]]:
    """The sources, then the same rows pooled by the judged role."""
    groups = {name: list(rows) for name, rows in held_out.items()}
    pooled = [row for rows in held_out.values() for row in rows]
    groups["contrast_test"] = hard
    groups["benign chat, pooled"] = [*held_out["open_assistant"], *held_out["self_instruct_user"]]
    groups["prompts, pooled"] = [row for row in pooled if row.role == "user"]
    groups["replies, pooled"] = [row for row in pooled if row.role == "assistant"]
    return {name: rows for name, rows in groups.items() if rows}


def rows_of(path: Path) -> list[Row]:
    return [row_from_record(item) for item in read_jsonl(path)] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    split = split_rows(options.data, rows_of(options.model / "contrast.jsonl"), seed=options.seed)
    scorers = {
        "guard-tiny": model_scorer(*load(options.model)),
        "TF-IDF": baseline_scorer(split.train),
    }
    groups = grouped(split.held_out, rows_of(options.model / "contrast_test.jsonl"))
    print(table(groups, scorers))
    print("\n| less TF-IDF, 95 % of resamples | F1 | AUPRC | FPR |\n|---|---|---|---|")
    for name in ("prompts, pooled", "replies, pooled", "gptfuzz"):
        print(f"| {name} | {differences(groups[name], scorers, options.seed)} |")


if __name__ == "__main__":
    main()
