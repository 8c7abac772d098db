import asyncio

import pytest

from guard_service.config import Settings
from guard_service.errors import EngineUnavailable, QuotaExceeded, SettingsInvalid
from guard_service.quota.budget import Cost, Quota
from guard_service.quota.limiter import Limiter, LocalLimiter
from guard_service.quota.meter import Meter, open_limiter


class Ledger:
    """A limiter that refuses nothing and writes all down."""

    def __init__(self) -> None:
        self.requests = self.tokens = 0

    async def take(self, _: str, __: Quota, cost: Cost) -> Limiter:
        self.requests, self.tokens = self.requests + cost.requests, self.tokens + cost.tokens
        return self

    async def correct(self, _: str, __: Quota, num_tokens: int) -> None:
        self.tokens += num_tokens

    async def close(self) -> None:
        pass


def metered(quota: Quota) -> tuple[Meter, Ledger]:
    ledger = Ledger()
    return Meter(ledger, lambda _: quota), ledger


async def test_bytes_are_charged_first_and_corrected_by_tokens() -> None:
    meter, ledger = metered(Quota(10, 1000))
    async with meter.charge("a", 400) as settle:
        assert (ledger.requests, ledger.tokens) == (1, 400)
        await settle(130)
        assert ledger.tokens == 130
    assert (ledger.requests, ledger.tokens) == (1, 130)


async def test_what_ends_in_an_error_of_ours_costs_a_request_and_no_tokens() -> None:
    meter, ledger = metered(Quota(10, 1000))
    with pytest.raises(EngineUnavailable):
        async with meter.charge("a", 400) as settle:
            await settle(130)
            raise EngineUnavailable
    assert (ledger.requests, ledger.tokens) == (1, 0)


async def test_who_leaves_pays_all_the_same() -> None:
    meter, ledger = metered(Quota(10, 1000))
    with pytest.raises(asyncio.CancelledError):
        async with meter.charge("a", 400):
            raise asyncio.CancelledError
    assert ledger.tokens == 400


async def test_a_request_of_more_bytes_than_the_limit_is_let_in_by_an_empty_bucket() -> None:
    meter = Meter(LocalLimiter(), lambda _: Quota(10, 1000))
    async with meter.charge("a", 5000) as settle:
        await settle(900)
    with pytest.raises(QuotaExceeded):
        async with meter.charge("a", 5000):
            pass


async def test_without_a_limit_nothing_is_counted() -> None:
    meter, ledger = metered(Quota())
    async with meter.charge("a", 400) as settle:
        await settle(130)
    assert ledger.requests == 0


async def test_a_limit_of_requests_alone_counts_no_tokens() -> None:
    meter, ledger = metered(Quota(requests_per_minute=10))
    async with meter.charge("a", 400) as settle:
        await settle(130)
    assert (ledger.requests, ledger.tokens) == (1, 0)


def test_a_url_that_is_none_is_refused_and_not_quoted() -> None:
    assert isinstance(open_limiter(Settings()), LocalLimiter)
    with pytest.raises(SettingsInvalid, match="quota_redis_url") as error:
        open_limiter(Settings(quota_redis_url="http://:secret@redis"))
    assert "secret" not in str(error.value)
    assert "secret" not in repr(Settings(quota_redis_url="redis://:secret@redis"))
