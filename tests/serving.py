"""A real server in a process of its own, as an operator starts it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from guard_service.client import GuardClient, Tls


@dataclass(frozen=True)
class Served:
    process: "subprocess.Popen[str]"
    target: str
    metrics: str
    folder: Path
    log: list[str]

    @property
    def engine_pid(self) -> int:
        """The server's only child."""
        pid = self.process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)


def until_logged(served: Served, action: str) -> str:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for line in list(served.log):
            if f"action={action}" in line:
                return line
        time.sleep(0.02)
    raise AssertionError(f"no {action} in {served.log}")


@contextmanager
def serving(
    folder: Path, *flags: str, tls: Tls | bool = False, log_format: str = "text", **environment: str
) -> Iterator[Served]:
    """`guard serve` on a free port, ready to answer; its log is kept for the test to read."""
    command = [sys.executable, "-m", "guard_service", "serve", "--port", "0", *flags]
    command += ["--metrics-port", "0", "--log-format", log_format]
    command += ["--database-url", f"sqlite:///{folder / 'guard.db'}"]
    environment = os.environ | environment
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    log: list[str] = []
    try:
        for line in process.stderr:
            log.append(line)
            if found := re.search(r"\bport\W+(\d+).*metrics_port\W+(\d+)", line):
                break
        else:
            raise AssertionError(f"the server did not start: {log}")
        reader = Thread(target=log.extend, args=(process.stderr,))
        reader.start()
        target = f"localhost:{found[1]}" if tls else f"127.0.0.1:{found[1]}"
        with GuardClient(target, tls=tls) as client:
            client.wait_until_ready(60)
        yield Served(process, target, f"http://127.0.0.1:{found[2]}", folder, log)
    finally:
        process.terminate()
        process.wait(30)
        reader.join()
        process.stderr.close()
