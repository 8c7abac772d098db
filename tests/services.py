"""Servers that some tests need beside them."""

import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from confluent_kafka import Producer

_REDIS_URL = "redis://127.0.0.1:6379/15"
_NATS_URL = "nats://127.0.0.1:4222"
_RABBITMQ_URL = "amqp://guest:guest@127.0.0.1:5672/"
_POSTGRESQL_URL = "postgresql://postgres@127.0.0.1:5432/postgres"


def missing(reason: str) -> NoReturn:
    """Skip, which GUARD_TEST_REQUIRE_SERVICES turns into a failure."""
    if os.environ.get("GUARD_TEST_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def chromium() -> str:
    """A browser; GUARD_TEST_CHROMIUM names one, else `chromium` is looked for."""
    path = os.environ.get("GUARD_TEST_CHROMIUM") or shutil.which("chromium")
    return path or missing("needs a Chromium: GUARD_TEST_CHROMIUM, or chromium on the path")


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


def nats_url() -> str:
    """A NATS with JetStream; GUARD_TEST_NATS_URL names another one."""
    url = os.environ.get("GUARD_TEST_NATS_URL", _NATS_URL)
    with _connected(url) as connection:
        if b'"jetstream":true' not in connection.recv(4096):
            missing(f"needs JetStream at {url}")
    return url


def rabbitmq_url() -> str:
    """A RabbitMQ; GUARD_TEST_RABBITMQ_URL names another one."""
    url = os.environ.get("GUARD_TEST_RABBITMQ_URL", _RABBITMQ_URL)
    with _connected(url):
        return url


@contextmanager
def kafka_url() -> Iterator[str]:
    """librdkafka's mock cluster, which lives in this process and speaks Kafka's protocol.

    GUARD_TEST_KAFKA_URL names a real one, which makes topics that it is asked for.
    """
    if url := os.environ.get("GUARD_TEST_KAFKA_URL"):
        yield url
        return
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    broker = producer.list_topics(timeout=10).brokers[1]
    yield f"kafka://{broker.host}:{broker.port}"
    del producer


def _connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    try:
        return socket.create_connection((parts.hostname, parts.port), timeout=2)
    except OSError as error:
        missing(f"needs a server at {parts.hostname}:{parts.port}: {type(error).__name__}")


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
