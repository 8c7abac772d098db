"""The metrics port over real HTTP."""

import asyncio
import socket
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from guard_service.batching.entry import Lane
from guard_service.batching.fair_queue import FairQueue
from guard_service.errors import SettingsInvalid, StoreUnavailable
from guard_service.sight import gauges
from guard_service.sight.endpoint import Endpoint
from guard_service.sight.gauges import Gauges, Sources


class Store:
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def num_waiting(self) -> int:
        if self._error:
            raise self._error
        return 7


class Relay:
    async def num_behind(self) -> int:
        return 5


def sources(ready: list[bool], store: Store | None = None) -> Sources:
    lanes = {lane: FairQueue() for lane in Lane}
    lanes[Lane.BULK].num_tokens = 42
    return Sources(lambda: ready[0], lambda: 2, lanes, store or Store(), {"nats": Relay()})


def ask(endpoint: Endpoint, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{endpoint.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


async def test_metrics_and_probes_are_told_over_http() -> None:
    endpoint, ready = Endpoint("127.0.0.1", 0), [False]
    async with endpoint.serving(sources(ready)):
        await asyncio.sleep(0.05)
        status, text = await asyncio.to_thread(ask, endpoint, "/metrics")
        assert status == 200
        assert 'guard_queue_tokens{lane="bulk"} 42.0' in text
        assert "guard_review_backlog 7.0" in text
        assert 'guard_feed_behind{sink="nats"} 5.0' in text
        assert "guard_engines_serving 2.0" in text
        assert (await asyncio.to_thread(ask, endpoint, "/healthz"))[0] == 200
        assert (await asyncio.to_thread(ask, endpoint, "/readyz"))[0] == 503
        ready[0] = True
        assert (await asyncio.to_thread(ask, endpoint, "/readyz"))[0] == 200
        assert (await asyncio.to_thread(ask, endpoint, "/secret"))[0] == 404


async def test_a_loop_that_stands_still_long_enough_is_not_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looking = Gauges(sources([True]))
    assert looking.is_alive()
    monkeypatch.setattr(gauges, "_DEAD_S", 0.0)
    assert not looking.is_alive()


async def test_a_database_that_fails_leaves_the_last_count() -> None:
    looking = Gauges(sources([True], Store(StoreUnavailable())))
    async with looking.watching():
        await asyncio.sleep(0.01)
    assert gauges.metrics.REGISTRY.get_sample_value("guard_review_backlog") is not None


async def test_a_silent_client_keeps_nobody_else_waiting() -> None:
    endpoint = Endpoint("127.0.0.1", 0)
    async with endpoint.serving(sources([True])):
        assert endpoint.port is not None
        with socket.create_connection(("127.0.0.1", endpoint.port)):
            assert (await asyncio.to_thread(ask, endpoint, "/healthz"))[0] == 200


def test_a_port_that_is_taken_is_a_problem_of_the_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SettingsInvalid, match=f"metrics_port: cannot listen on .*:{port}"):
            Endpoint("127.0.0.1", port)


async def test_off_opens_no_port() -> None:
    endpoint = Endpoint("nowhere", "off")
    assert endpoint.port is None
    async with endpoint.serving(sources([True])):
        pass
