"""What an item's page shows: the conversation with its judged message, scores and thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from guard_service.conversation import Message
from guard_service.policy import Policy
from guard_service.review.claim import Claim
from guard_service.review.item import ReviewItem
from guard_service.taxonomy import TAXONOMY

# One key each, in the order of the codes; the letters leave those of the acts free.
KEYS = "1234567890qwert"


@dataclass(frozen=True, slots=True)
class Score:
    """`threshold` is the one that this score is held against; None: it has none of its own."""

    code: str
    name: str
    score: float
    threshold: float | None
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class Choice:
    code: str
    name: str
    definition: str
    key: str
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class Turn:
    message: Message
    is_judged: bool


@dataclass(frozen=True, slots=True)
class Case:
    item: ReviewItem
    token: int
    lease_until: datetime
    has_text: bool  # kept, though it may not be shown yet
    turns: tuple[Turn, ...]
    scores: tuple[Score, ...]  # the highest first
    choices: tuple[Choice, ...]
    threshold: float | None  # of the unsafe score
    is_policy_changed: bool  # the thresholds shown are of another version


def case_of(claim: Claim, policy: Policy | None) -> Case:
    item = claim.item
    return Case(
        item,
        claim.token,
        claim.lease_until,
        claim.has_text,
        tuple(_turns(item)),
        tuple(_scores(item, policy)),
        tuple(_choices(item, _codes(policy))),
        policy.threshold if policy else None,
        policy is None or policy.version != item.policy_version,
    )


def _turns(item: ReviewItem) -> Iterator[Turn]:
    messages = item.conversation.messages if item.conversation else ()
    judged = len(messages) - 1 if item.judged_message is None else item.judged_message
    for number, message in enumerate(messages):
        yield Turn(message, number == judged)


def _scores(item: ReviewItem, policy: Policy | None) -> Iterator[Score]:
    for code, score in sorted(item.scores.items(), key=lambda pair: -pair[1]):
        rule = policy.rules.get(code) if policy else None
        threshold = rule.threshold if rule else None
        yield Score(code, _name(code, policy), score, threshold, code in item.codes)


def _choices(item: ReviewItem, codes: Sequence[str]) -> Iterator[Choice]:
    for number, code in enumerate(codes):
        definition = TAXONOMY[code].definition if code in TAXONOMY else ""
        key = KEYS[number] if number < len(KEYS) else ""
        yield Choice(code, _name(code), definition, key, code in item.codes)


def _codes(policy: Policy | None) -> Sequence[str]:
    return [category.code for category in policy.categories] if policy else list(TAXONOMY)


def _name(code: str, policy: Policy | None = None) -> str:
    names = {category.code: category.name for category in policy.categories} if policy else {}
    return names.get(code) or (TAXONOMY[code].name if code in TAXONOMY else code)
