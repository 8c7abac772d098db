"""What the reviewer console needs: scores, notes, undo, reads of text, accounts and sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for column in (
        sa.Column("scores", sa.Text, nullable=False, server_default="{}"),
        sa.Column("judged_message", sa.Integer),
    ):
        op.add_column("review_items", column)
    for column in (
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("undo_until_ms", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("lane", sa.String(8), nullable=False, server_default=""),
        sa.Column("looks_wanted", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("review_resolutions", column)
    is_held = sa.text("holder <> ''")
    op.create_index(
        "review_items_held",
        "review_items",
        ["holder"],
        postgresql_where=is_held,
        sqlite_where=is_held,
    )
    op.create_index("review_items_opened", "review_items", ["opened_ms"])
    op.create_index("review_items_of_text", "review_items", ["tenant", "conversation_digest"])
    of_category = ["tenant", "category", "lane", "opened_ms"]
    op.create_index("review_items_of_category", "review_items", of_category)
    of_reviewer = ["reviewer", "resolved_ms"]
    op.create_index("review_resolutions_of_reviewer", "review_resolutions", of_reviewer)
    _create_reads()
    _create_accounts()


def _create_reads() -> None:
    item_id = sa.ForeignKey("review_items.id")
    op.create_table(
        "review_reads",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("item_id", sa.String(32), item_id, nullable=False, index=True),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("read_ms", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("review_reads_of_reviewer", "review_reads", ["reviewer", "read_ms"])


def _create_accounts() -> None:
    op.create_table(
        "review_accounts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(64)),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.String(256), nullable=False),
        sa.Column("is_cleared", sa.Boolean, nullable=False),
        sa.Column("is_disabled", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("num_failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("locked_until_ms", sa.BigInteger, nullable=False, server_default="0"),
    )
    name = sa.ForeignKey("review_accounts.name")
    op.create_table(
        "review_sessions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), name, nullable=False, index=True),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False, index=True),
    )
