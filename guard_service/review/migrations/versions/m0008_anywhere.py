"""Indexes for those who are given the items of all tenants."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WAITING, _ROUTED = "review_items_waiting_anywhere", "review_items_routed_anywhere"


def upgrade() -> None:
    op.create_index(_WAITING, "review_items", ["lane", "level", "opened_ms"])
    op.create_index(_ROUTED, "review_items", ["lane", "category", "level", "opened_ms"])


def downgrade() -> None:
    op.drop_index(_ROUTED, "review_items")
    op.drop_index(_WAITING, "review_items")
