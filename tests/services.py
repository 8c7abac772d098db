"""Servers that some tests need beside them."""

import os
from typing import NoReturn

import pytest
import redis

_REDIS_URL = "redis://127.0.0.1:6379/15"


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
