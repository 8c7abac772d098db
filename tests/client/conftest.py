"""A scripted server on a free port, and one face for both clients, so that each promise is tested
on both with the same words."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2_grpc

from client.scripted import ScriptedService, WatchedHealth
from guard_service.client import AsyncGuardClient, BatchItem, GuardClient, GuardError
from guard_service.v1 import moderation_pb2_grpc, review_pb2_grpc

Batch = tuple[list[BatchItem], BaseException | None]


class SyncFace:
    """GuardClient, called from asyncio."""

    def __init__(self, target: str) -> None:
        self._client = GuardClient(target)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def run(*arguments: Any, **more: Any) -> Any:
            result = method(*arguments, **more)
            return list(result) if isinstance(result, Iterator) else result

        return lambda *arguments, **more: asyncio.to_thread(run, *arguments, **more)

    async def batch(self, requests: Iterable[Any], most: int | None = None, **more: Any) -> Batch:
        return await asyncio.to_thread(self._batch, requests, most, **more)

    def _batch(self, requests: Iterable[Any], most: int | None, **more: Any) -> Batch:
        items: list[BatchItem] = []
        stream = self._client.moderate_batch(requests, **more)
        try:
            for each in stream:
                items.append(each)
                if len(items) == most:
                    stream.close()  # type: ignore[attr-defined]
        except (GuardError, LookupError) as error:
            return items, error
        return items, None

    async def close(self) -> None:
        self._client.close()


class AioFace:
    """AsyncGuardClient, with whole lists for its streams."""

    def __init__(self, target: str) -> None:
        self._client = AsyncGuardClient(target)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def run(*arguments: Any, **more: Any) -> Any:
            result = method(*arguments, **more)
            if isinstance(result, AsyncIterator):
                return [each async for each in result]
            return await result

        return run

    async def batch(self, requests: Iterable[Any], most: int | None = None, **more: Any) -> Batch:
        items: list[BatchItem] = []
        stream = self._client.moderate_batch(requests, **more)
        try:
            async for each in stream:
                items.append(each)
                if len(items) == most:
                    await stream.aclose()  # type: ignore[attr-defined]
        except (GuardError, LookupError) as error:
            return items, error
        return items, None


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
def server_health() -> WatchedHealth:
    return WatchedHealth()


@pytest.fixture
def target(service: ScriptedService, server_health: WatchedHealth) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    moderation_pb2_grpc.add_ModerationServiceServicer_to_server(service, server)
    review_pb2_grpc.add_ReviewServiceServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(server_health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None).wait()


@pytest.fixture(params=[SyncFace, AioFace], ids=["sync", "aio"])
async def guard(request: pytest.FixtureRequest, target: str) -> AsyncIterator[Any]:
    face = request.param(target)
    yield face
    await face.close()
