"""The tables, for SQLite and PostgreSQL alike. `migrations/` makes them; a test compares."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from guard_service.review.dialect import AnyText

_IS_HELD = text("holder <> ''")
_IS_KNOWN = text("subject <> ''")

metadata = MetaData()

review_items = Table(
    "review_items",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("request_id", AnyText, nullable=False),
    Column("conversation_digest", String(64), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("reason", String(16), nullable=False),
    Column("action", String(16), nullable=False),
    Column("judged_role", String(16), nullable=False),
    Column("unsafe_score", Float),
    Column("codes", Text, nullable=False),
    Column("policy", String(64), nullable=False),
    Column("policy_version", String(64), nullable=False),
    Column("model", String(128), nullable=False),
    Column("scores", Text, nullable=False, server_default="{}"),
    Column("judged_message", Integer),
    Column("labels", Text, nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("subject", AnyText, nullable=False, server_default=""),  # of the label; until erased
    # Where it waits, and for whom.
    Column("lane", String(8), nullable=False, server_default="ranked"),
    Column("level", Integer, nullable=False, server_default="8"),
    Column("category", String(8), nullable=False, server_default=""),
    Column("language", AnyText, nullable=False, server_default=""),
    Column("opened_ms", BigInteger, nullable=False, server_default="0"),
    Column("inclusion", Float),  # how probable it was that people see it; NULL: not known
    # Who has it. The token grows with each claim and fences who had it before.
    Column("holder", AnyText, nullable=False, server_default=""),
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("lease_until_ms", BigInteger, nullable=False, server_default="0"),
    # What people said.
    Column("num_looks", Integer, nullable=False, server_default="0"),
    Column("looks_wanted", Integer, nullable=False, server_default="1"),
    Column("is_appealed", Boolean, nullable=False, server_default="0"),
    Column("outcome", String(16), nullable=False, server_default=""),
    # A request sent again finds its item; an id that a caller reuses for another text does not.
    UniqueConstraint("tenant", "request_id", "conversation_digest"),
    Index("review_items_waiting", "tenant", "lane", "level", "opened_ms"),
    Index("review_items_routed", "tenant", "lane", "category", "level", "opened_ms"),
    Index("review_items_waiting_anywhere", "lane", "level", "opened_ms"),
    Index("review_items_routed_anywhere", "lane", "category", "level", "opened_ms"),
    Index("review_items_held", "holder", postgresql_where=_IS_HELD, sqlite_where=_IS_HELD),
    Index(
        "review_items_of_subject",
        "tenant",
        "subject",
        postgresql_where=_IS_KNOWN,
        sqlite_where=_IS_KNOWN,
    ),
    Index("review_items_opened", "opened_ms"),
    Index("review_items_of_text", "tenant", "conversation_digest"),
    Index("review_items_of_category", "tenant", "category", "lane", "opened_ms"),
    sqlite_autoincrement=True,
)

review_resolutions = Table(
    "review_resolutions",
    metadata,
    Column("item_id", ForeignKey("review_items.id"), primary_key=True),
    Column("look", Integer, primary_key=True),  # one resolution each, whatever races for it
    Column("reviewer", AnyText, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("codes", Text, nullable=False),
    Column("resolved_ms", BigInteger, nullable=False),
    Column("note", AnyText, nullable=False, server_default=""),
    Column("note_key", String(16), nullable=False, server_default=""),  # which seals it; or none
    # How the item was before, for who takes it back until then.
    Column("undo_until_ms", BigInteger, nullable=False, server_default="0"),
    Column("lane", String(8), nullable=False, server_default=""),
    Column("looks_wanted", Integer, nullable=False, server_default="0"),
    # Nobody takes a second look at what they looked at.
    UniqueConstraint("item_id", "reviewer"),
    Index("review_resolutions_of_reviewer", "reviewer", "resolved_ms"),
)

review_texts = Table(
    "review_texts",
    metadata,
    Column("item_id", ForeignKey("review_items.id"), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_ms", BigInteger, nullable=False, index=True),
)

# The deciding part of every policy that an item was decided by, by its digest.
review_policies = Table(
    "review_policies",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("content", Text, nullable=False),
)

review_evidence = Table(
    "review_evidence",
    metadata,
    Column("item_id", ForeignKey("review_items.id"), primary_key=True),
    Column("policy_digest", ForeignKey("review_policies.digest"), nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("prompt_digest", String(64), nullable=False),
    Column("signs", Text, nullable=False),
    Column("readings", Text, nullable=False),
)

review_reads = Table(
    "review_reads",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("item_id", ForeignKey("review_items.id"), nullable=False, index=True),
    Column("reviewer", AnyText, nullable=False),
    Column("read_ms", BigInteger, nullable=False),
    Index("review_reads_of_reviewer", "reviewer", "read_ms"),
    sqlite_autoincrement=True,
)

review_accounts = Table(
    "review_accounts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("tenant", String(64)),  # NULL: of all
    Column("role", String(16), nullable=False),
    Column("password", String(256), nullable=False),  # its Argon2 hash
    Column("is_cleared", Boolean, nullable=False),
    Column("is_disabled", Boolean, nullable=False, server_default="0"),
    Column("num_failures", Integer, nullable=False, server_default="0"),
    Column("locked_until_ms", BigInteger, nullable=False, server_default="0"),
)

review_sessions = Table(
    "review_sessions",
    metadata,
    Column("digest", String(64), primary_key=True),  # of the secret in the cookie
    Column("name", ForeignKey("review_accounts.name"), nullable=False, index=True),
    Column("seen_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False, index=True),
)

review_requests = Table(
    "review_requests",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("reviewer", AnyText, primary_key=True),
    Column("request_id", AnyText, primary_key=True),
    Column("call", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("answered_ms", BigInteger, nullable=False, index=True),
)

_number = BigInteger().with_variant(Integer, "sqlite")  # where only INTEGER counts up by itself

# What happened, written with what happened. A position is given once the row is committed, by one
# at a time: sequences of PostgreSQL are drawn in another order than their rows are seen.
review_events = Table(
    "review_events",
    metadata,
    Column("sequence", _number, primary_key=True, autoincrement=True),
    Column("position", BigInteger, unique=True),
    Column("id", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("item_id", String(32), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("occurred_ms", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Index("review_events_of_tenant", "tenant", "position"),
    sqlite_autoincrement=True,
)
_unplaced = review_events.c.position.is_(None)
Index(
    "review_events_unplaced",
    review_events.c.sequence,
    postgresql_where=_unplaced,
    sqlite_where=_unplaced,
)

review_feed = Table(  # one row
    "review_feed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("head", BigInteger, nullable=False),  # the last position given
    Column("purged", BigInteger, nullable=False),  # the last position deleted
)

# Who did what. The database refuses to change or delete an entry; position and hash are its link in
# the chain, set once.
review_audit = Table(
    "review_audit",
    metadata,
    Column("sequence", _number, primary_key=True, autoincrement=True),
    Column("position", BigInteger, unique=True),
    Column("hash", String(64)),
    Column("act", String(16), nullable=False),
    Column("item_id", String(32), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("actor", AnyText, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("details", Text, nullable=False),
    sqlite_autoincrement=True,
)
_unlinked = review_audit.c.position.is_(None)
Index(
    "review_audit_unlinked",
    review_audit.c.sequence,
    postgresql_where=_unlinked,
    sqlite_where=_unlinked,
)

review_sinks = Table(
    "review_sinks",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("position", BigInteger, nullable=False),  # all up to it is acknowledged
    Column("holder", String(32), nullable=False),  # the one server that publishes there
    Column("lease_until_ms", BigInteger, nullable=False),
)


def of_tenant(tenant: str | None) -> list[ColumnElement[bool]]:
    """What holds for the items that a caller of this tenant may see; None sees those of all."""
    return [] if tenant is None else [review_items.c.tenant == tenant]
