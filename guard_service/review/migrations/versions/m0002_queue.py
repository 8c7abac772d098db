"""Items can be claimed and resolved; texts can be kept, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in _columns():
        op.add_column("review_items", column)
    _place_older_items()
    waiting = ["tenant", "lane", "level", "opened_ms"]
    op.create_index("review_items_waiting", "review_items", waiting)
    waiting.insert(2, "category")
    op.create_index("review_items_routed", "review_items", waiting)
    op.create_table(
        "review_resolutions",
        sa.Column("item_id", sa.String(32), sa.ForeignKey("review_items.id"), primary_key=True),
        sa.Column("look", sa.Integer, primary_key=True),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("codes", sa.Text, nullable=False),
        sa.Column("resolved_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("item_id", "reviewer"),
    )
    op.create_table(
        "review_texts",
        sa.Column("item_id", sa.String(32), sa.ForeignKey("review_items.id"), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "review_requests",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("reviewer", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("call", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("answered_ms", sa.BigInteger, nullable=False, index=True),
    )


def _columns() -> list[sa.Column[object]]:
    number, text = sa.BigInteger, sa.Text
    return [
        sa.Column("lane", sa.String(8), nullable=False, server_default="ranked"),
        sa.Column("level", sa.Integer, nullable=False, server_default="8"),
        sa.Column("category", sa.String(8), nullable=False, server_default=""),
        sa.Column("language", text, nullable=False, server_default=""),
        sa.Column("opened_ms", number, nullable=False, server_default="0"),
        sa.Column("holder", sa.Text, nullable=False, server_default=""),
        sa.Column("token", number, nullable=False, server_default="0"),
        sa.Column("lease_until_ms", number, nullable=False, server_default="0"),
        sa.Column("num_looks", sa.Integer, nullable=False, server_default="0"),
        sa.Column("looks_wanted", sa.Integer, nullable=False, server_default="1"),
        sa.Column("is_appealed", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("outcome", sa.String(16), nullable=False, server_default=""),
    ]


def _place_older_items() -> None:
    """Their age counts, and their first category; their severity is taken for the middle."""
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    opened = (
        "CAST((julianday(created_at) - 2440587.5) * 86400000 AS INTEGER)"
        if is_sqlite
        else "CAST(EXTRACT(EPOCH FROM created_at) * 1000 AS BIGINT)"
    )
    first = "substr(codes, 1, instr(codes || ',', ',') - 1)"
    category = first if is_sqlite else "split_part(codes, ',', 1)"
    op.execute(f"UPDATE review_items SET opened_ms = {opened}, category = {category}")
    op.execute("UPDATE review_items SET lane = 'random' WHERE reason = 'sampled'")
