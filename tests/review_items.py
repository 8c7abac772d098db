"""Review items for tests."""

from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import update

from guard_service.conversation import Role
from guard_service.decision import ReviewReason
from guard_service.policy import Action
from guard_service.review.item import ReviewItem
from guard_service.review.store import ReviewStore
from guard_service.review.table import review_items


def item(number: int = 0, **values: object) -> ReviewItem:
    made = ReviewItem(
        id=f"{number:032x}",
        request_id=f"request-{number}",
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        reason=ReviewReason.BLOCKED,
        action=Action.BLOCK,
        judged_role=Role.ASSISTANT,
        unsafe_score=0.75,
        codes=("S1", "S10"),
        policy="default",
        policy_version="1",
        model="guard-tiny",
        conversation_digest="d" * 64,
        labels={"chat": "\N{GRINNING FACE}\x00\u2028"},
    )
    return replace(made, **values)  # type: ignore[arg-type]


async def end_lease(store: ReviewStore, item_id: str) -> None:
    """As if its holder had been away for too long."""
    statement = update(review_items).where(review_items.c.id == item_id)
    await store.database.run(lambda c: c.execute(statement.values(lease_until_ms=1)))
