"""What a decision rests on, so that it can be made again without the model: bit for bit under the
policy that it was made by, and under any other that asks the model the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from guard_service.decision import Decision, decide
from guard_service.policy import Policy
from guard_service.sign import TextSign
from guard_service.verdict import Reading, Verdict, read_verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """Readings of one conversation, one for each window, and the policy that they were asked by."""

    policy: Policy
    readings: tuple[Reading, ...]
    signs: frozenset[TextSign] = frozenset()
    model_digest: str = ""  # SHA-256 of the model's files; empty where they are not hashed
    prompt_digest: str = ""  # SHA-256 of the ids that the model read


def redecide(evidence: Evidence, policy: Policy, request_id: str) -> tuple[Verdict, Decision]:
    """What this policy says of the readings; it must not be `unanswerable`."""
    verdict = read_verdict(evidence.readings, policy)
    return verdict, decide(verdict, policy, request_id, evidence.signs)


def unanswerable(policy: Policy, asked: Policy) -> str:
    """Why readings that were asked for by one policy cannot answer another; empty: they can."""
    codes = [category.code for category in asked.categories]
    if problem := unasked(policy, codes, asked.list_above):
        return problem
    changed = {a.code for a, b in zip(asked.categories, policy.categories, strict=True) if a != b}
    return f"the model was told other words for {', '.join(sorted(changed))}" if changed else ""


def unasked(policy: Policy, codes: Sequence[str], list_above: float) -> str:
    """What the policy would have to know beyond readings of these codes and lists from there on."""
    wanted = {category.code for category in policy.categories}
    if new := sorted(wanted - set(codes)):
        return f"the model was not asked for {', '.join(new)}"
    if missing := sorted(set(codes) - wanted):
        return (
            f"the model was asked for {', '.join(missing)} too, which shares its scores "
            'with the others; keep it with action = "allow"'
        )
    if policy.list_above < list_above:
        return (
            f"the model was asked for its list of categories from {list_above} "
            f"upwards, and this policy wants it from {policy.list_above}"
        )
    return ""
