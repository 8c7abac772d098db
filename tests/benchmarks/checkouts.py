"""What a change costs a caller: the servers of several checkouts, asked in turn over gRPC.

    PYTHONPATH=tests python -m benchmarks.checkouts OTHER_CHECKOUT [--rounds 20] [--requests 200]

The last server is this checkout again, with spans sent to a collector that throws them away.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from guard_service.client import AsyncGuardClient, GuardClient

HERE = Path(__file__).parents[2]


class _Sink(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Server:
    target: str
    pid: int

    def cpu_s(self) -> float:
        """What the front process has computed so far; other work on the machine is not in it."""
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, stat[11:13])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    rate: float
    cpu_ms: float  # of the front process, a request


def start(stack: ExitStack, checkout: Path, **environment: str) -> Server:
    """A server on guard-tiny from a checkout."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "guard_service", "serve", "--port", target.split(":")[1]]
    environment = os.environ | {"PYTHONPATH": str(checkout)} | environment
    log = stack.enter_context((Path(folder) / "log").open("w"))
    server = subprocess.Popen(command, env=environment, stderr=log, cwd=folder)
    stack.callback(server.wait)
    stack.callback(server.terminate)
    with GuardClient(target) as client:
        client.wait_until_ready(60)
    return Server(target, server.pid)


async def ask(server: Server, num_requests: int, num_in_flight: int) -> Measured:
    places = asyncio.Semaphore(num_in_flight)
    async with AsyncGuardClient(server.target, timeout=60) as client:

        async def one(number: int) -> None:
            async with places:
                await client.moderate(f"What is the capital of country number {number}?")

        await client.moderate("What is the capital of France?")
        started, computed_s = time.perf_counter(), server.cpu_s()
        await asyncio.gather(*map(one, range(num_requests)))
        rate = num_requests / (time.perf_counter() - started)
        return Measured(rate, (server.cpu_s() - computed_s) * 1000 / num_requests)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200)
    given = parser.parse_args()
    with ExitStack() as stack:
        sink = stack.enter_context(HTTPServer(("127.0.0.1", 0), _Sink))
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        stack.callback(sink.shutdown)
        spans = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{sink.server_port}"}
        servers = {
            "other": start(stack, given.other.resolve()),
            "this": start(stack, HERE, GUARD_METRICS_PORT="0"),
            "this, with spans": start(stack, HERE, GUARD_METRICS_PORT="0", **spans),
        }
        for num_in_flight in (1, 16):
            measured: dict[str, list[Measured]] = {name: [] for name in servers}
            for number in range(given.rounds):
                turn = list(servers) if number % 2 else list(reversed(servers))
                for name in turn:
                    asked = ask(servers[name], given.requests, num_in_flight)
                    measured[name].append(asyncio.run(asked))
            report(num_in_flight, measured)


def report(num_in_flight: int, measured: dict[str, list[Measured]]) -> None:
    for name, found in measured.items():
        pairs = list(zip(found, measured["other"], strict=True))
        rates = [mine.rate / other.rate for mine, other in pairs]
        costs = [mine.cpu_ms / other.cpu_ms for mine, other in pairs]
        print(
            f"{num_in_flight} in flight, {name}:",
            f"{statistics.median(each.rate for each in found):.1f} requests/s, {_spread(rates)};",
            f"{statistics.median(each.cpu_ms for each in found):.2f} CPU ms, {_spread(costs)}",
            flush=True,
        )


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) of other"


if __name__ == "__main__":
    main()
