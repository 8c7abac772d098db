"""Items know their subject; texts have keys of their own."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    subject = sa.Column("subject", sa.Text, nullable=False, server_default="")
    op.add_column("review_items", subject)
    is_known = sa.text("subject <> ''")
    op.create_index(
        "review_items_of_subject",
        "review_items",
        ["tenant", "subject"],
        postgresql_where=is_known,
        sqlite_where=is_known,
    )
    _read_subjects()
    op.create_table(
        "review_text_keys",
        sa.Column("item_id", sa.String(32), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False, index=True),
    )


def _read_subjects() -> None:
    """Of items that are there already, from the label that newer ones have it from."""
    items = sa.table("review_items", sa.column("id"), sa.column("labels"), sa.column("subject"))
    connection = op.get_bind()
    labelled = sa.select(items.c.id, items.c.labels).where(items.c.labels.contains('"subject": '))
    for item_id, labels in connection.execute(labelled).all():
        subject = str(json.loads(labels).get("subject", ""))
        escaped = subject.replace("%", "%25").replace("\x00", "%00")  # as `AnyText` does
        one = sa.update(items).where(items.c.id == item_id)
        connection.execute(one.values(subject=escaped))
