"""Two servers that count in one Redis, and what they do when it is away."""

import asyncio
import logging
import math
import socket
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import redis
from services import redis_url

from guard_service.errors import QuotaExceeded
from guard_service.quota.budget import Cost, Quota
from guard_service.quota.limiter import Limiter
from guard_service.quota.shared import SharedLimiter


@pytest.fixture
async def pair() -> AsyncIterator[tuple[SharedLimiter, SharedLimiter]]:
    url = redis_url()
    # The time-out is not what is tested: a machine with much else to do may stand still.
    limiters = SharedLimiter(url, 2, 10.0), SharedLimiter(url, 2, 10.0)
    yield limiters
    for limiter in limiters:
        await limiter.close()


@pytest.fixture
def tenant() -> str:
    return uuid4().hex


async def taken(limiter: Limiter, tenant: str, quota: Quota, cost: Cost) -> bool:
    try:
        await limiter.take(tenant, quota, cost)
    except QuotaExceeded:
        return False
    return True


@pytest.mark.parametrize(
    ("quota", "cost"), [(Quota(600, 0), Cost(1, 0)), (Quota(0, 60_000), Cost(1, 100))], ids=str
)
async def test_5000_concurrent_calls_over_two_servers_never_overspend_by_more_than_one_each(
    pair: tuple[SharedLimiter, SharedLimiter],
    tenant: str,
    quota: Quota,
    cost: Cost,
    caplog: pytest.LogCaptureFixture,
) -> None:
    started = time.monotonic()
    calls = (taken(pair[n % 2], tenant, quota, cost) for n in range(5000))
    num_taken = sum(await asyncio.gather(*calls))
    leaked = 600 * (time.monotonic() - started) / 60
    assert 600 <= num_taken <= 600 + leaked + 2
    assert not caplog.records  # all were counted in Redis


async def test_a_refusal_names_the_limit_and_when_it_fits(
    pair: tuple[SharedLimiter, SharedLimiter], tenant: str
) -> None:
    quota = Quota(1000, 6000)
    await pair[0].take(tenant, quota, Cost(1, 6000))
    with pytest.raises(QuotaExceeded) as error:
        await pair[1].take(tenant, quota, Cost(1, 50))
    (exhausted,) = error.value.exhausted
    assert (exhausted.budget, exhausted.limit) == ("tokens_per_minute", 6000)
    assert 0.2 < exhausted.retry_after_s <= 0.5
    await asyncio.sleep(exhausted.retry_after_s)
    await pair[1].take(tenant, quota, Cost(1, 50))


async def test_a_correction_is_seen_by_the_other_server(
    pair: tuple[SharedLimiter, SharedLimiter], tenant: str
) -> None:
    quota = Quota(0, 1000)
    charged = await pair[0].take(tenant, quota, Cost(1, 1000))
    assert not await taken(pair[1], tenant, quota, Cost(1, 500))
    await charged.correct(tenant, quota, -900)
    assert await taken(pair[1], tenant, quota, Cost(1, 500))
    await charged.correct(tenant, quota, 2000)
    assert not await taken(pair[1], tenant, quota, Cost(1, 1))


async def test_what_a_tenant_used_is_forgotten_when_it_has_leaked_away(
    pair: tuple[SharedLimiter, SharedLimiter], tenant: str
) -> None:
    await pair[0].take(tenant, Quota(0, 1000), Cost(1, 500))
    with redis.Redis.from_url(redis_url()) as client:
        assert 60 < client.ttl(f"guard:quota:{tenant}") <= 91


async def test_without_redis_each_server_goes_on_with_its_share_and_says_so_once(
    tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        limiter = SharedLimiter(f"redis://127.0.0.1:{unused.getsockname()[1]}", 4)
        calls = (taken(limiter, tenant, Quota(40, 0), Cost(1, 0)) for _ in range(500))
        assert sum(await asyncio.gather(*calls)) == 10
        await limiter.close()
    assert [vars(record)["action"] for record in caplog.records] == ["quota_store_lost"]


async def test_of_its_share_a_server_grants_only_what_it_has_not_granted_before(
    pair: tuple[SharedLimiter, SharedLimiter], tenant: str
) -> None:
    one, other = pair
    for limiter, num_taken in ((one, 300), (other, 50)):  # of a share of 200 each
        for _ in range(num_taken):
            await limiter.take(tenant, Quota(400, 0), Cost(1, 0))
        limiter._away_until_s = math.inf
    granted = [
        sum([await taken(limiter, tenant, Quota(400, 0), Cost(1, 0)) for _ in range(200)])
        for limiter in pair
    ]
    assert granted[0] <= 5  # what has leaked meanwhile
    assert 150 <= granted[1] <= 155


async def test_a_redis_that_hangs_holds_nobody_up_for_long(tenant: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limiter = SharedLimiter(f"redis://127.0.0.1:{silent.getsockname()[1]}", 4)
        started = time.monotonic()
        calls = (taken(limiter, tenant, Quota(40, 0), Cost(1, 0)) for _ in range(500))
        assert sum(await asyncio.gather(*calls)) == 10
        assert time.monotonic() - started < 3
        await limiter.close()


async def test_when_redis_is_back_servers_count_together_again(
    pair: tuple[SharedLimiter, SharedLimiter],
    tenant: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    quota = Quota(4, 0)
    one, other = pair
    script = one._script

    async def fail(**_: object) -> None:
        raise redis.ConnectionError

    one._script = fail
    charged = await one.take(tenant, quota, Cost(1, 0))
    one._script = script
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1.1)
    await charged.correct(tenant, quota, 5)  # of the share, not of what is counted together
    assert [await taken(one, tenant, quota, Cost(1, 0)) for _ in range(5)] == [True] * 4 + [False]
    assert not await taken(other, tenant, quota, Cost(1, 0))
    actions = [vars(record)["action"] for record in caplog.records]
    assert actions == ["quota_store_lost", "quota_store_back"]
