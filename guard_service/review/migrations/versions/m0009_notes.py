"""Reviewers' notes are sealed; those of before stay as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    note_key = sa.Column("note_key", sa.String(16), nullable=False, server_default="")
    op.add_column("review_resolutions", note_key)
