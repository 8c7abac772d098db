"""From what the engine read to what the model found. Nothing here knows what happens next."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from guard_service.errors import ReadingRejected
from guard_service.policy import Policy
from guard_service.taxonomy import HazardCategory


@dataclass(frozen=True, slots=True)
class Reading:
    """What the engine read off one prompt.

    `first_scores` is, for each code of the prompt, the probability that the model names it first
    once it says unsafe (they add up to 1). `listed` is the model's own list, the first one first;
    below the prompt's `list_above` it is empty.
    """

    unsafe_score: float
    label_mass: float
    first_scores: tuple[float, ...]
    listed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CategoryScore:
    category: HazardCategory
    score: float
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    is_unsafe: bool
    unsafe_score: float
    categories: tuple[CategoryScore, ...]
    label_mass: float
    reading: int = 0  # which of the readings it is of, the worst

    @property
    def flagged(self) -> tuple[CategoryScore, ...]:
        """Flagged categories, the strongest first."""
        return tuple(sorted((c for c in self.categories if c.is_flagged), key=lambda c: -c.score))


def listed_codes(answer: str, codes: Sequence[str]) -> tuple[str, ...]:
    """The offered codes that a written answer names, each once, in its order."""
    named = dict.fromkeys(re.findall(r"S[0-9]+", answer))
    return tuple(code for code in named if code in codes)


def check_reading(reading: Reading, min_label_mass: float) -> Reading:
    """The same reading, or ReadingRejected if it cannot come from a healthy model."""
    numbers = (reading.unsafe_score, reading.label_mass, *reading.first_scores)
    if not all(math.isfinite(number) and 0 <= number <= 1.001 for number in numbers):
        raise ReadingRejected("the model's scores are not probabilities")
    if not math.isclose(sum(reading.first_scores), 1, abs_tol=0.01):
        raise ReadingRejected("the shares of the categories do not add up to 1")
    if reading.label_mass < min_label_mass:
        raise ReadingRejected(
            f"only {reading.label_mass:.3f} of the probability lies on safe and unsafe together"
        )
    return reading


def read_verdict(readings: Sequence[Reading], policy: Policy) -> Verdict:
    """The verdict on all windows of a conversation: the worst one's, with the flags of all."""
    verdicts = [_judge(reading, policy) for reading in readings]
    if len(verdicts) == 1:
        return verdicts[0]
    ranks = [(verdict.is_unsafe, verdict.unsafe_score) for verdict in verdicts]
    number = ranks.index(max(ranks))
    worst = verdicts[number]
    flagged = {score.category.code for verdict in verdicts for score in verdict.flagged}
    categories = tuple(_flag(worst.categories, flagged))
    return replace(worst, categories=categories, reading=number)


def _judge(reading: Reading, policy: Policy) -> Verdict:
    if len(reading.first_scores) != len(policy.categories):
        raise ReadingRejected("the model answered for other categories than were asked")
    is_unsafe = reading.unsafe_score >= policy.threshold
    listed = reading.listed if is_unsafe else ()
    categories = []
    for category, first_score in zip(policy.categories, reading.first_scores, strict=True):
        threshold = policy.rules[category.code].threshold
        score = reading.unsafe_score * first_score
        reached = threshold is not None and score >= threshold
        categories.append(CategoryScore(category, score, reached or category.code in listed))
    is_unsafe = is_unsafe or any(category.is_flagged for category in categories)
    return Verdict(is_unsafe, reading.unsafe_score, tuple(categories), reading.label_mass)


def _flag(categories: Iterable[CategoryScore], codes: set[str]) -> Iterable[CategoryScore]:
    return (replace(score, is_flagged=score.category.code in codes) for score in categories)


def worst_first(readings: Sequence[Reading], verdict: Verdict) -> tuple[Reading, ...]:
    """All readings, the one that the verdict is of in front."""
    worst = verdict.reading
    return (readings[worst], *readings[:worst], *readings[worst + 1 :])
