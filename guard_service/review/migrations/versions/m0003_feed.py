"""What happens to items is written as events, and published."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "review_events",
        sa.Column("sequence", number, primary_key=True, autoincrement=True),
        sa.Column("position", sa.BigInteger, unique=True),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("item_id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("occurred_ms", sa.BigInteger, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("review_events_of_tenant", "review_events", ["tenant", "position"])
    unplaced = sa.text("position IS NULL")
    op.create_index(
        "review_events_unplaced",
        "review_events",
        ["sequence"],
        postgresql_where=unplaced,
        sqlite_where=unplaced,
    )
    op.create_table(
        "review_feed",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("head", sa.BigInteger, nullable=False),
        sa.Column("purged", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO review_feed (id, head, purged) VALUES (1, 0, 0)")
    op.create_table(
        "review_sinks",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
    )
