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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brokers import Broker, free_port
from services import missing

_START_S = 120


@dataclass
class BrokerProcess:
    command: list[str]
    port: int
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Return once it takes connections."""
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.running = subprocess.Popen(self.command, start_new_session=True, **quiet)
        until_s = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < until_s, "the broker does not start"
                assert self.running.poll() is None, "the broker ended"
                time.sleep(0.05)

    def kill(self) -> None:
        """With all that it has started, and without a word."""
        assert self.running
        os.killpg(self.running.pid, signal.SIGKILL)
        self.running.wait()


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


def _program(name: str) -> str:
    return shutil.which(name) or missing(f"needs {name} on the path")


def _nats(folder: Path, port: int) -> BrokerProcess:
    at = ["-a", "127.0.0.1", "-p", str(port)]
    return BrokerProcess([_program("nats-server"), *at, "-js", "-sd", str(folder)], port)


def _redis(folder: Path, port: int) -> BrokerProcess:
    kept = ["--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]
    at = ["--bind", "127.0.0.1", "--port", str(port)]
    return BrokerProcess([_program("redis-server"), *at, *kept], port)


_COMMANDS: dict[str, Callable[[Path, int], BrokerProcess]] = {
    "nats": _nats,
    "redis": _redis,
}
_URLS = {
    "nats": "nats://127.0.0.1:{}",
    "redis": "redis://127.0.0.1:{}/0",
}
