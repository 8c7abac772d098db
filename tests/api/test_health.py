import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from in_process import running

from guard_service.access.access import Access
from guard_service.api.health import Health
from guard_service.client import AsyncGuardClient, Unavailable
from guard_service.config import Settings

STATUS = health_pb2.HealthCheckResponse


def request(service: str = "ours") -> Any:
    return health_pb2.HealthCheckRequest(service=service)


@asynccontextmanager
async def served(health: Any) -> AsyncIterator[Any]:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)
    await server.stop(None)


async def test_every_service_follows_the_one_state_and_others_are_unknown() -> None:
    health = Health(["ours"])
    async with served(health) as stub:
        assert (await stub.Check(request())).status == STATUS.NOT_SERVING
        await health.set_serving(True)
        for name in ("", "ours"):
            assert (await stub.Check(request(name))).status == STATUS.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            await stub.Check(request("theirs"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert (await stub.Watch(request("theirs")).read()).status == STATUS.SERVICE_UNKNOWN


async def test_who_watches_is_told_after_another_who_watched_has_left() -> None:
    health = Health(["ours"])
    async with served(health) as stub:
        stays, leaves = stub.Watch(request()), stub.Watch(request())
        await stays.read(), await leaves.read()
        leaves.cancel()
        newcomer = stub.Watch(request())
        await newcomer.read()
        await health.set_serving(True)
        assert (await stays.read()).status == STATUS.SERVING
        assert (await newcomer.read()).status == STATUS.SERVING


async def test_a_server_that_stops_never_serves_again() -> None:
    health = Health(["ours"])
    await health.set_serving(True)
    async with served(health) as stub:
        watching = stub.Watch(request())
        assert (await watching.read()).status == STATUS.SERVING
        await health.stop()
        assert (await watching.read()).status == STATUS.NOT_SERVING
        await health.set_serving(True)  # an engine that comes back while the server drains
        assert (await stub.Check(request())).status == STATUS.NOT_SERVING


async def test_clients_leave_a_server_that_drains_although_another_client_left_before() -> None:
    alone = {"grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0}
    async with running(Access(Settings())) as service:
        clients = [AsyncGuardClient(service.target, options=alone) for _ in range(3)]
        for client in clients:
            await client.wait_until_ready()
        await clients.pop().close()
        stopping = asyncio.create_task(service.server.stop(60.0, 0.0))
        async with asyncio.timeout(30):
            for client in clients:
                with pytest.raises(Unavailable):
                    while True:  # answered until it is told
                        await client.moderate("hello")
                await client.close()
        stopping.cancel()
