"""What callers get of a server that is offered ten times what it can do.

    PYTHONPATH=tests python tests/benchmarks/bench_overload.py [--seconds 15] [--slower 1]

The real server, tokenizer and batcher over gRPC, on an engine that only takes its time (10 ms and
60 us a token, or `--slower` times that where cores are busy). Calls come by a seeded Poisson
process, whether or not earlier ones are answered, from another process. Prints goodput, waits and
refusals, memory, and how the server comes back.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from conversations import policy
from scripted import ScriptedEngine

from guard_service.access.access import Access
from guard_service.api.admission import Door
from guard_service.api.handler import Call
from guard_service.api.moderation import ModerationService
from guard_service.api.reply import ServerInfo
from guard_service.api.review import reviewing
from guard_service.api.server import GuardServer
from guard_service.batching.batcher import Batcher
from guard_service.batching.scheduler import BatchLimits
from guard_service.config import Settings
from guard_service.conversation import Limits
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.message import Batch, BatchRead
from guard_service.errors import Overloaded
from guard_service.pipeline import Pipeline
from guard_service.prompt import Prompt
from guard_service.quota.limiter import LocalLimiter
from guard_service.quota.meter import Meter
from guard_service.review.feed import Feed
from guard_service.review.store import ReviewStore
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import moderation_pb2_grpc
from guard_service.verdict import Reading
from guard_service.weights.checkpoint import models_folder

INFO = ServerInfo("scripted", "", "none", "none", True, Limits(), 0, 0)
TEXT = "Could you tell me how to sharpen an old kitchen knife without a whetstone, please? " * 4
CAPACITY_CALLERS = 64  # in a closed loop: enough to fill every pass


def seconds(slower: float, num_tokens: int) -> float:
    return slower * (0.010 + 0.00006 * num_tokens)


def safe(prompt: Prompt) -> Reading:
    return Reading(0.01, 0.999, (1 / len(prompt.prefix.codes),) * len(prompt.prefix.codes))


class Engine(ScriptedEngine):
    """Keeps nothing of what it read."""

    async def read(self, batch: Batch) -> BatchRead:
        read = await super().read(batch)
        self.batches.clear()
        self.read_prompts.clear()
        return read


class TimedService(ModerationService):
    """Keeps how long it took to refuse a call, from the parsed request on."""

    refused_ms: list[float] = []  # noqa: RUF012

    async def moderate(self, request: pb.ModerateRequest, call: Call) -> pb.ModerateResponse:
        started = time.perf_counter()
        try:
            return await super().moderate(request, call)
        except Overloaded:
            self.refused_ms.append((time.perf_counter() - started) * 1000)
            raise


async def serve(slower: float) -> None:
    """Until stdin closes; then the server's own figures on stdout."""
    engine, store = Engine(safe, partial(seconds, slower)), ReviewStore("sqlite://")
    batcher = Batcher(lambda: [engine], BatchLimits())
    tokenizer = GuardTokenizer.from_folder(models_folder() / "guard-tiny", 1024)
    policies = {"test": policy(review={"sample": 0.0})}
    pipeline = Pipeline(tokenizer, batcher, store, policies, "test", Limits(), "scripted", 0.5)
    access = Access(Settings())
    server, meter = (
        GuardServer("127.0.0.1:0", Limits(), access),
        Meter(LocalLimiter(), access.quota_of),
    )
    batcher.start()
    await store.start()
    service = TimedService(pipeline, Door(512, enter=batcher.entrance.enter), meter, lambda: INFO)
    await server.start(service, reviewing(store, Feed(store.database, 60.0), Settings()))
    await server.set_serving(True)
    print(server.port, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(TimedService.refused_ms), flush=True)
    await server.stop(0.0, 1.0)


@dataclass
class Phase:
    """What came of the calls of one stretch of time."""

    waits_ms: list[float] = field(default_factory=list)
    refused_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    num_sent: int = 0
    took_s: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.waits_ms) / self.took_s

    def __str__(self) -> str:
        refused = f", refused {len(self.refused_ms)}" if self.refused_ms else ""
        if self.refused_ms:
            refused += f" (seen by the client: {quantiles(self.refused_ms)})"
        errors = f", errors {dict(self.errors)}" if self.errors else ""
        offered = self.num_sent / self.took_s
        waits = quantiles(self.waits_ms)
        return f"offered {offered:.0f}/s, answered {self.rate:.1f}/s in {waits}{refused}{errors}"


@dataclass
class Client:
    stub: Any
    draw: random.Random
    sent: set["asyncio.Task[None]"] = field(default_factory=set)

    async def call(self, phase: Phase) -> None:
        started = time.perf_counter()
        # Another text each time: the same one, asked twice at once, is read once.
        content = f"{self.draw.random()} {TEXT}"
        message = pb.Message(role=pb.ROLE_USER, content=content)
        try:
            await self.stub.Moderate(pb.ModerateRequest(messages=[message]), timeout=20)
            phase.waits_ms.append((time.perf_counter() - started) * 1000)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                phase.refused_ms.append((time.perf_counter() - started) * 1000)
            else:
                phase.errors[error.code().name] += 1

    async def closed_loop(self, num_callers: int, for_s: float) -> Phase:
        phase, started = Phase(), time.perf_counter()

        async def caller() -> None:
            while time.perf_counter() - started < for_s:
                phase.num_sent += 1
                await self.call(phase)

        await asyncio.gather(*(caller() for _ in range(num_callers)))
        phase.took_s = time.perf_counter() - started
        return phase

    async def poisson(self, rate: float, for_s: float) -> Phase:
        phase, started = Phase(), time.perf_counter()
        due_s = 0.0
        while due_s < for_s:
            due_s += self.draw.expovariate(rate)
            await asyncio.sleep(max(started + due_s - time.perf_counter(), 0))
            phase.num_sent += 1
            self._begin(self.call(phase))
        phase.took_s = time.perf_counter() - started
        return phase

    def _begin(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(call)
        self.sent.add(task)
        task.add_done_callback(self.sent.discard)


async def measure(port: int, pid: int, for_s: float, times: float) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        client = Client(moderation_pb2_grpc.ModerationServiceStub(channel), random.Random(1))
        await client.closed_loop(8, 2)  # what is slow the first time
        capacity = (await client.closed_loop(CAPACITY_CALLERS, for_s)).rate
        print(f"capacity {capacity:.1f}/s")
        for share in (0.2, 0.5, 0.8):
            phase = await client.poisson(capacity * share, for_s)
            print(f"{share:.0%} of it: {phase}")
        before = memory_mb(pid)
        flood = await client.poisson(capacity * times, for_s)
        middle = memory_mb(pid)
        second = await client.poisson(capacity * times, for_s)
        for phase in (flood, second):
            print(f"{times:g}x: {phase}; goodput {phase.rate / capacity:.0%}")
        print(f"server's memory: {before:.0f} MB, {middle:.0f} MB, {memory_mb(pid):.0f} MB")
        for second_number in range(1, 6):
            after = await client.poisson(capacity * 0.5, 1)
            print(f"second {second_number} after, at 50%: {after}")
        await asyncio.gather(*client.sent)


def quantiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100) if len(values) > 1 else [0.0] * 99
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"


def memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def main(for_s: float, times: float, slower: float) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        "--serve",
        f"--slower={slower}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    assert process.stdin and process.stdout
    port = int(await process.stdout.readline())
    await measure(port, process.pid, for_s, times)
    process.stdin.close()
    print("refusing took the server", quantiles(json.loads(await process.stdout.readline())))
    await process.wait()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--seconds", type=float, default=15)
    arguments.add_argument("--times", type=float, default=10)
    arguments.add_argument("--serve", action="store_true")
    arguments.add_argument("--slower", type=float, default=1)
    given = arguments.parse_args()
    serving = serve(given.slower) if given.serve else None
    asyncio.run(serving or main(given.seconds, given.times, given.slower))
