"""A scripted server on a free port, and both clients behind one face."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from client.scripted import SERVICE, ScriptedService
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from guard_service.client import AsyncGuardClient, GuardClient
from guard_service.v1 import moderation_pb2_grpc, review_pb2_grpc


class Blocking:
    """AsyncGuardClient with the face of GuardClient: each step runs a loop until it is done."""

    def __init__(self, target: str, **chosen: Any) -> None:
        self._client, self._runner = AsyncGuardClient(target, **chosen), asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            result = getattr(self._client, name)(*arguments, **more)
            if isinstance(result, AsyncIterator):
                return self._steps(result)
            return self._runner.run(result)

        return call

    def _steps(self, stream: Any) -> Iterator[Any]:
        try:
            while (item := self._runner.run(_next(stream))) is not None:
                yield item
        finally:
            self._runner.run(stream.aclose())

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


async def _next(stream: Any) -> Any:
    return await anext(stream, None)


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


def open_server(
    service: ScriptedService, servicer: health.HealthServicer | None = None
) -> tuple[str, Callable[[], None]]:
    """A running server's target, and what stops it at once."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    moderation_pb2_grpc.add_ModerationServiceServicer_to_server(service, server)
    review_pb2_grpc.add_ReviewServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(servicer or healthy(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return f"localhost:{port}", lambda: server.stop(None).wait()


def healthy() -> health.HealthServicer:
    servicer = health.HealthServicer(experimental_non_blocking=True)
    servicer.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    return servicer


@pytest.fixture
def server_health() -> health.HealthServicer:
    return healthy()


@pytest.fixture
def target(service: ScriptedService, server_health: health.HealthServicer) -> Iterator[str]:
    target, stop = open_server(service, server_health)
    yield target
    stop()


@pytest.fixture(params=[GuardClient, Blocking], ids=["sync", "aio"])
def guard(request: pytest.FixtureRequest, target: str) -> Iterator[Any]:
    client = request.param(target)
    yield client
    client.close()
