"""What `grpc.health.v1` says, for every service alike: one state, told to all who watch.

grpc_health's own servicer for asyncio forgets the others who watch as soon as one of them leaves
(github.com/grpc/grpc/pull/43403): they keep calling a server that has said NOT_SERVING.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Response: Any = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated without types
    """NOT_SERVING until told otherwise; `""` is the server as a whole."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self.is_serving = self._is_stopping = False
        self._changed = asyncio.Condition()

    async def set_serving(self, is_serving: bool) -> None:
        """Tell all who watch; after `stop` it stays NOT_SERVING."""
        async with self._changed:
            self.is_serving = is_serving and not self._is_stopping
            self._changed.notify_all()

    async def stop(self) -> None:
        self._is_stopping = True
        await self.set_serving(False)

    async def Check(self, request: Any, context: Any) -> Any:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no service of this name")
        return Response(status=self._status(request.service))

    async def Watch(self, request: Any, _: Any) -> AsyncIterator[Any]:
        """The status now and whenever it changes; who reads slowly sees the last one alone."""
        told = None
        while True:
            async with self._changed:
                while (status := self._status(request.service)) == told:
                    await self._changed.wait()
            told = status
            yield Response(status=told)

    def _status(self, service: str) -> Any:
        if service not in self._services:
            return Response.SERVICE_UNKNOWN
        return Response.SERVING if self.is_serving else Response.NOT_SERVING
