"""What an item's decision rests on, the policy that made it, and how probable it was to be seen."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("review_items", sa.Column("inclusion", sa.Float))
    # What was sampled before has no known probability: the policy of its time is not kept.
    op.execute("UPDATE review_items SET inclusion = 1 WHERE reason <> 'sampled'")
    op.create_table(
        "review_policies",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
    item_id, digest = sa.ForeignKey("review_items.id"), sa.ForeignKey("review_policies.digest")
    op.create_table(
        "review_evidence",
        sa.Column("item_id", sa.String(32), item_id, primary_key=True),
        sa.Column("policy_digest", sa.String(64), digest, nullable=False),
        sa.Column("model_digest", sa.String(64), nullable=False),
        sa.Column("prompt_digest", sa.String(64), nullable=False),
        sa.Column("signs", sa.Text, nullable=False),
        sa.Column("readings", sa.Text, nullable=False),
    )
