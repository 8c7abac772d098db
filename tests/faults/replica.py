"""One of several servers on a port of its own, which a test kills, drains and starts again."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guard_service.client import GuardClient, GuardError

SERVER = Path(__file__).parent / "server.py"
START_S, EXIT_S = 300, 30  # on a busy machine
SOON = {"grpc.initial_reconnect_backoff_ms": 100, "grpc.max_reconnect_backoff_ms": 200}


class Replica:
    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        own = f"sqlite:///{folder / self.address.rpartition(':')[2]}.db"
        self._database = database_url or own
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it is SERVING."""
        port = self.address.rpartition(":")[2]
        command = [sys.executable, str(SERVER), "serve", "--port", port]
        environment = os.environ | {"GUARD_CHECK_CANARY": "false", "GUARD_LOG_LEVEL": "ERROR"}
        environment["GUARD_METRICS_PORT"] = "off"
        command += ["--database-url", self._database]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        with GuardClient(self.address, options=SOON) as client:
            client.wait_until_ready(START_S)

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait; the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(EXIT_S)


@contextmanager
def two_replicas(folder: Path) -> Iterator[list[Replica]]:
    replicas = [Replica(folder), Replica(folder)]
    try:
        for replica in replicas:
            replica.start()
        yield replicas
    finally:
        for replica in replicas:
            if replica.process is not None and replica.process.poll() is None:
                replica.end(signal.SIGKILL)


class Caller(threading.Thread):
    """Asks through our client, with its retries, and compares with what was answered at first."""

    def __init__(self, target: str, expected: dict[str, float], stop: threading.Event) -> None:
        super().__init__()
        self._target, self._expected, self._stop_calling = target, expected, stop
        self.num_right = 0
        self.wrong: list[str] = []
        self.failed: list[GuardError] = []

    def run(self) -> None:
        with GuardClient(self._target, timeout=20) as client:
            client.wait_until_ready(60)
            while not self._stop_calling.is_set():
                for text, score in self._expected.items():
                    self._ask(client, text, score)

    def _ask(self, client: GuardClient, text: str, score: float) -> None:
        try:
            answer = client.moderate(text)
        except GuardError as error:
            self.failed.append(error)
        else:
            is_right = answer.verdict and answer.verdict.unsafe_score == pytest.approx(score)
            self.num_right += bool(is_right)
            self.wrong += [] if is_right else [text]


@contextmanager
def under_load(replicas: list[Replica], num_callers: int) -> Iterator[list[Caller]]:
    """Callers of all replicas at once; after it they have ended and can be asked."""
    target = "ipv4:" + ",".join(replica.address for replica in replicas)
    stop = threading.Event()
    with GuardClient(replicas[0].address) as client:
        texts = [f"text number {number}" for number in range(20)]
        verdicts = [client.moderate(text).verdict for text in texts]
    expected = {text: v.unsafe_score for text, v in zip(texts, verdicts, strict=True) if v}
    callers = [Caller(target, expected, stop) for _ in range(num_callers)]
    for caller in callers:
        caller.start()
    try:
        yield callers
    finally:
        stop.set()
        for caller in callers:
            caller.join()
