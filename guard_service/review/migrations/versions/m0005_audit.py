"""The audit log, which the database lets nobody change or delete: only its links are set, once."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_CONTENT = "sequence, act, item_id, tenant, actor, at_ms, details"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "review_audit",
        sa.Column("sequence", number, primary_key=True, autoincrement=True),
        sa.Column("position", sa.BigInteger, unique=True),
        sa.Column("hash", sa.String(64)),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("item_id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    unlinked = sa.text("position IS NULL")
    op.create_index(
        "review_audit_unlinked",
        "review_audit",
        ["sequence"],
        postgresql_where=unlinked,
        sqlite_where=unlinked,
    )
    if op.get_bind().dialect.name == "sqlite":
        _refuse = "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        _add_triggers("", _refuse)
    else:
        op.execute(
            "CREATE FUNCTION review_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
        _refuse = "EXECUTE FUNCTION review_audit_refuse()"
        _add_triggers("FOR EACH ROW", _refuse)
        op.execute(
            "CREATE TRIGGER review_audit_no_truncate BEFORE TRUNCATE ON review_audit "
            f"FOR EACH STATEMENT {_refuse}"
        )


def _add_triggers(each: str, refuse: str) -> None:
    for name, when in (
        ("no_delete", f"DELETE ON review_audit {each}"),
        ("no_change", f"UPDATE OF {_CONTENT} ON review_audit {each}"),
        (
            "linked_once",
            f"UPDATE OF position, hash ON review_audit {each} WHEN (OLD.position IS NOT NULL)",
        ),
    ):
        op.execute(f"CREATE TRIGGER review_audit_{name} BEFORE {when} {refuse}")
