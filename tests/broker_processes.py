"""Brokers of a test's own, which it may kill: each with its data in a folder, on a free port."""

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brokers import Broker, free_port
from services import missing

_START_S = 120


@dataclass
class BrokerProcess:
    command: list[str]
    port: int
    hello: bytes = b""  # what it answers, or says unasked
    environment: dict[str, str] = field(default_factory=dict)
    settle_s: float = 0.0  # how long a new queue may take until it survives a kill
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Return once it answers: RabbitMQ takes connections, and drops them, before it does."""
        given: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        given["env"] = os.environ | self.environment
        self.running = subprocess.Popen(self.command, start_new_session=True, **given)
        until_s = time.monotonic() + _START_S
        while not self._answers():
            assert time.monotonic() < until_s, "the broker does not start"
            assert self.running.poll() is None, "the broker ended"
            time.sleep(0.05)

    def kill(self) -> None:
        """With all that it has started, and without a word."""
        assert self.running
        os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(self.hello)
                return connection.recv(1) != b""
        except OSError:
            return False


@contextmanager
def broker_process(name: str, folder: Path) -> Iterator[tuple[Broker, BrokerProcess]]:
    """It runs when this returns; what it has acknowledged is to survive a kill."""
    port = free_port()
    process = _COMMANDS[name](folder, port)
    topic = f"guard_test.t{uuid.uuid4().hex}"
    process.start()
    try:
        yield Broker(name, _URLS[name].format(port), topic), process
    finally:
        process.kill()


def _program(name: str, first: str = "") -> str:
    path = os.pathsep.join((first, os.environ.get("PATH", os.defpath)))
    return shutil.which(name, path=path) or missing(f"needs {name} on the path")


def _nats(folder: Path, port: int) -> BrokerProcess:
    at = ["-a", "127.0.0.1", "-p", str(port)]
    return BrokerProcess([_program("nats-server"), *at, "-js", "-sd", str(folder)], port)


def _redis(folder: Path, port: int) -> BrokerProcess:
    kept = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]
    at = ["--bind", "127.0.0.1", "--port", str(port)]
    return BrokerProcess([_program("redis-server"), *at, *kept], port, b"PING\r\n")


def _rabbitmq(folder: Path, port: int) -> BrokerProcess:
    # Debian's command on the path runs this one as a user who may not write to our folder.
    program = _program("rabbitmq-server", "/usr/lib/rabbitmq/bin")
    settings = {
        "RABBITMQ_NODENAME": f"guard_test_{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "no-plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder),
        "RABBITMQ_LOG_BASE": str(folder),
        "HOME": str(folder),
    }
    # The term of a quorum queue is on disk a moment later; killed before, the queue waits for a
    # leader for ever (github.com/rabbitmq/rabbitmq-server/issues/10070).
    return BrokerProcess([program], port, b"AMQP\x00\x00\x09\x01", settings, settle_s=2.0)


_COMMANDS: dict[str, Callable[[Path, int], BrokerProcess]] = {
    "nats": _nats,
    "rabbitmq": _rabbitmq,
    "redis": _redis,
}
_URLS = {
    "nats": "nats://127.0.0.1:{}",
    "rabbitmq": "amqp://guest:guest@127.0.0.1:{}/",
    "redis": "redis://127.0.0.1:{}/0",
}
