"""Servers that some tests need beside them."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import psycopg
import pytest
import redis

_REDIS_URL = "redis://127.0.0.1:6379/15"
_POSTGRESQL_URL = "postgresql://postgres@127.0.0.1:5432/postgres"


def missing(reason: str) -> NoReturn:
    """Skip, which GUARD_TEST_REQUIRE_SERVICES turns into a failure."""
    if os.environ.get("GUARD_TEST_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def redis_url() -> str:
    """A Redis that answers; GUARD_TEST_REDIS_URL names another one."""
    url = os.environ.get("GUARD_TEST_REDIS_URL", _REDIS_URL)
    client = redis.Redis.from_url(url, socket_timeout=2.0)
    try:
        client.ping()
    except redis.RedisError as error:
        missing(f"needs a Redis at {url}: {type(error).__name__}")
    finally:
        client.close()
    return url


@contextmanager
def postgresql_url() -> Iterator[str]:
    """A database of its own on a PostgreSQL; GUARD_TEST_POSTGRESQL_URL names another server."""
    server = os.environ.get("GUARD_TEST_POSTGRESQL_URL", _POSTGRESQL_URL)
    name = f"guard_test_{uuid.uuid4().hex}"
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=2)
    except psycopg.OperationalError:
        missing("needs a PostgreSQL: GUARD_TEST_POSTGRESQL_URL, or postgres on 127.0.0.1:5432")
    with connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
