"""Alembic migrations, applied when a store starts."""
