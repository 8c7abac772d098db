"""Evidence in the database: written with its item, read back exactly, in the order of the items."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select

from guard_service.evidence import Evidence
from guard_service.policy import Policy
from guard_service.review.item import Outcome, ReviewItem
from guard_service.review.row import codes_from_text, item_from_row
from guard_service.review.table import (
    of_tenant,
    review_evidence,
    review_items,
    review_policies,
    review_resolutions,
)
from guard_service.sign import TextSign
from guard_service.verdict import Reading

items, kept, looks = review_items.c, review_evidence.c, review_resolutions.c

_INSERT = insert(review_evidence)
_IS_LAST_LOOK = and_(looks.item_id == items.id, looks.look == items.looks_wanted)


@dataclass(frozen=True, slots=True)
class Decided:
    """An item, what its decision rests on, and what people finally said of it."""

    item: ReviewItem
    evidence: Evidence
    outcome: Outcome | None = None
    seen: tuple[str, ...] = ()  # the categories that the last one who looked named
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which items; empty or None: all."""

    item_id: str = ""
    policy: str = ""
    tenant: str | None = None

    @property
    def where(self) -> list[ColumnElement[bool]]:
        is_item = [items.id == self.item_id] if self.item_id else []
        is_policy = [items.policy == self.policy] if self.policy else []
        return [*is_item, *is_policy, *of_tenant(self.tenant)]


EVERY_ITEM = Wanted()


def keep_evidence(connection: Connection, kept: Sequence[tuple[str, Evidence]]) -> None:
    """Write that of each item and, once for all items, the deciding part of its policy."""
    if kept:
        _keep_policies(connection, {each.policy.digest: each.policy for _, each in kept})
        connection.execute(_INSERT, [_row(item_id, evidence) for item_id, evidence in kept])


def _keep_policies(connection: Connection, policies: Mapping[str, Policy]) -> None:
    digest = review_policies.c.digest
    known = set(connection.execute(select(digest).where(digest.in_(policies))).scalars())
    for new in policies.keys() - known:
        content = policies[new].model_dump_json(by_alias=True, exclude={"description"})
        connection.execute(insert(review_policies).values(digest=new, content=content))


def _row(item_id: str, evidence: Evidence) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "policy_digest": evidence.policy.digest,
        "model_digest": evidence.model_digest,
        "prompt_digest": evidence.prompt_digest,
        "signs": ",".join(sorted(sign.value for sign in evidence.signs)),
        "readings": json.dumps([_told(reading) for reading in evidence.readings]),
    }


def read_decided(
    connection: Connection, wanted: Wanted, after: int, limit: int
) -> tuple[Decided, ...]:
    """Items after this sequence that have evidence, oldest first."""
    statement = (
        select(review_items, review_evidence, review_policies.c.content, looks.codes.label("seen"))
        .join(review_evidence, kept.item_id == items.id)
        .join(review_policies, review_policies.c.digest == kept.policy_digest)
        .outerjoin(review_resolutions, _IS_LAST_LOOK)
        .where(items.sequence > after, *wanted.where)
        .order_by(items.sequence)
        .limit(limit)
    )
    policy_of = _Policies()
    return tuple(_decided(row, policy_of) for row in connection.execute(statement).mappings())


class _Policies:
    """Each stored policy read once, with the id and version that it had for the item."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, str], Policy] = {}

    def __call__(self, row: Mapping[Any, Any]) -> Policy:
        key = row["policy_digest"], row["policy"], row["policy_version"]
        if key not in self._read:
            named = {"id": row["policy"], "version": row["policy_version"]}
            self._read[key] = Policy.model_validate(json.loads(row["content"]) | named)
        return self._read[key]


def _decided(row: Any, policy_of: Callable[[Mapping[Any, Any]], Policy]) -> Decided:
    signs = frozenset(TextSign(sign) for sign in row["signs"].split(",") if sign)
    readings = tuple(
        Reading(unsafe_score, label_mass, tuple(first_scores), tuple(listed))
        for unsafe_score, label_mass, first_scores, listed in json.loads(row["readings"])
    )
    evidence = Evidence(policy_of(row), readings, signs, row["model_digest"], row["prompt_digest"])
    item, sequence = item_from_row(row), row["sequence"]
    if not row["outcome"]:
        return Decided(item, evidence, sequence=sequence)
    seen = codes_from_text(row["seen"] or "")
    return Decided(item, evidence, Outcome(row["outcome"]), seen, sequence)


def _told(reading: Reading) -> list[Any]:
    """Numbers as JSON writes them: read back, each is the same float."""
    return [reading.unsafe_score, reading.label_mass, reading.first_scores, reading.listed]
