"""Alembic runs this: migrate through the connection that the store opened."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
