import asyncio
import math
from types import SimpleNamespace

from guard_service.access.access import Access
from guard_service.api.gate import Gate
from guard_service.api.handler import Call, unary
from guard_service.config import Settings
from guard_service.v1 import moderation_pb2 as pb


class Context:
    def __init__(self, peer: str, seconds_left: float | None) -> None:
        self._peer, self._seconds_left = peer, seconds_left

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> None:
        return None

    def auth_context(self) -> dict[str, list[bytes]]:
        return {}

    def time_remaining(self) -> float | None:
        return self._seconds_left


async def call_of(context: Context) -> Call:
    calls: list[Call] = []

    async def method(_: pb.ModerateRequest, call: Call) -> pb.ModerateResponse:
        calls.append(call)
        return pb.ModerateResponse()

    async def handler(_: object) -> object:
        return unary(pb.ModerateRequest, method)

    details = SimpleNamespace(method="/any")
    gated = await Gate(Access(Settings())).intercept_service(handler, details)  # type: ignore[arg-type]
    await gated.unary_unary(b"", context)
    return calls[0]


async def test_every_connection_of_a_peer_is_the_same_caller() -> None:
    peers = [(await call_of(Context(f"ipv4:10.0.0.1:{port}", None))).peer for port in (1, 2)]
    assert peers == ["ipv4:10.0.0.1"] * 2
    assert (await call_of(Context("ipv6:%5B::1%5D:9", None))).peer == "ipv6:%5B::1%5D"


async def test_the_deadline_is_on_the_clock_of_the_event_loop() -> None:
    before_s = asyncio.get_running_loop().time()
    deadline_s = (await call_of(Context("unix:", 5.0))).deadline_s
    assert before_s + 5 <= deadline_s <= asyncio.get_running_loop().time() + 5
    assert (await call_of(Context("unix:", None))).deadline_s == math.inf
