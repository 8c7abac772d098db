"""Items as they were listed before they could be worked, and what older databases had."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    if not inspector.has_table("review_items"):
        _create("review_items")
    elif "tenant" not in {each["name"] for each in inspector.get_columns("review_items")}:
        op.rename_table("review_items", "review_items_without_tenants")
        _create("review_items")
        before = sa.Table("review_items_without_tenants", sa.MetaData(), autoload_with=connection)
        columns = ", ".join(column.name for column in before.columns)
        op.execute(
            f"INSERT INTO review_items ({columns}, tenant) "
            f"SELECT {columns}, '' FROM review_items_without_tenants"
        )
        op.drop_table("review_items_without_tenants")


def _create(name: str) -> None:
    op.create_table(
        name,
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("conversation_digest", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("judged_role", sa.String(16), nullable=False),
        sa.Column("unsafe_score", sa.Float),
        sa.Column("codes", sa.Text, nullable=False),
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("policy_version", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.UniqueConstraint("tenant", "request_id", "conversation_digest"),
        sqlite_autoincrement=True,
    )
