"""A PostgreSQL of a test's own, which the test may kill."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from services import missing

_START_S = 60


@dataclass(frozen=True)
class Cluster:
    programs: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Return once it answers; what a killed one left is taken over."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        log = self.folder / "log"
        until = time.monotonic() + _START_S
        while self._run("pg_ctl", "start", "-w", "-l", str(log), "-o", options, check=False):
            # Processes of the killed one may still hold its shared memory.
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", check=False)

    def kill_postmaster(self) -> None:
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def kill_backend(self, draw: random.Random) -> bool:
        """One of those that serve clients; False if there was none to kill."""
        clients = (
            "SELECT pid FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with suppress(psycopg.OperationalError), psycopg.connect(self.url) as connection:
            pids = [pid for (pid,) in connection.execute(clients).fetchall()]
            with suppress(ProcessLookupError, IndexError):
                os.kill(draw.choice(pids), signal.SIGKILL)
                return True
        return False

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def create(self) -> None:
        self._run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")

    def _run(self, program: str, *words: str, check: bool = True) -> int:
        owner: dict[str, Any] = {}
        if os.geteuid() == 0:  # as whom it refuses to run
            owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
        command = [str(self.programs / program), "-D", str(self.data), *words]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.run(command, check=check, cwd=self.folder, **quiet, **owner).returncode


@contextmanager
def postgresql_cluster() -> Iterator[Cluster]:
    """A new one that runs, on a free port; skips where PostgreSQL's programs are not installed."""
    folder = Path(tempfile.mkdtemp(prefix="guard-cluster-"))
    if os.geteuid() == 0:
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            folder.rmdir()
            missing("needs a user postgres, to start a PostgreSQL of its own from root")
    cluster = Cluster(_programs(), folder, _free_port())
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else [*Path("/usr/lib/postgresql").glob("*/bin")]
    if not places:
        missing("needs PostgreSQL's initdb and pg_ctl, to start one of its own")
    return max(places)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
