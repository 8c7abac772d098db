"""What a principal may use, and that nothing of one tenant reaches another."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from credentials import entry, write_access
from in_process import Running, running
from services import redis_url

from guard_service.access.access import Access
from guard_service.access.key import NewKey, make_key
from guard_service.batching.entry import Lane
from guard_service.client import (
    Assessment,
    AsyncGuardClient,
    GuardError,
    InvalidRequest,
    OnUnavailable,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
)
from guard_service.config import Settings
from guard_service.errors import EngineUnavailable
from guard_service.quota.shared import SharedLimiter

ALL, OTHER_TENANT, NARROW, BULK = make_key(), make_key(), make_key(), make_key()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    file = write_access(
        tmp_path / "access.json",
        entry(ALL),
        entry(OTHER_TENANT, tenant="beta"),
        entry(NARROW, policies=["other"], lanes=["interactive"]),
        entry(BULK, lanes=["bulk"]),
    )
    async with running(Access(Settings(access_file=file))) as service:
        yield service


def client(service: Running, key: NewKey) -> AsyncGuardClient:
    return AsyncGuardClient(service.target, api_key=key.text)


async def test_a_policy_that_is_not_allowed_is_refused_whether_it_exists_or_not(
    service: Running,
) -> None:
    async with client(service, NARROW) as guard:
        assert (await guard.moderate("hello", policy="other")).is_allowed
        for policy in ("", "test", "no such policy"):
            with pytest.raises(PermissionDenied) as error:
                await guard.moderate("hello", policy=policy)
            assert error.value.reason == "FORBIDDEN"
        assert [policy.id for policy in await guard.list_policies()] == ["other"]


async def test_a_lane_that_is_not_allowed_is_refused(service: Running) -> None:
    async with client(service, NARROW) as narrow, client(service, BULK) as bulk:
        with pytest.raises(PermissionDenied, match="bulk"):
            [item async for item in narrow.moderate_batch(["hello"])]
        with pytest.raises(PermissionDenied, match="interactive"):
            await bulk.moderate("hello")
        (item,) = [item async for item in bulk.moderate_batch(["hello"])]
        assert item.result().is_allowed


async def test_callers_share_and_reuse_by_tenant_not_by_address(service: Running) -> None:
    for key in (ALL, OTHER_TENANT):
        async with client(service, key) as guard:
            await guard.moderate("hello")
    async with client(service, BULK) as guard:
        [item async for item in guard.moderate_batch(["hello"])]
    callers = [(caller.lane, caller.name) for caller in service.reader.callers]
    interactive = Lane.INTERACTIVE
    assert callers == [(interactive, "acme"), (interactive, "beta"), (Lane.BULK, "acme")]


async def test_review_items_are_of_a_tenant_and_listed_to_it_alone(service: Running) -> None:
    ids = []
    for key in (ALL, OTHER_TENANT):
        async with client(service, key) as guard:
            answer = await guard.moderate("harm", request_id="the same")
            ids.append(answer.review_item_id)
            assert [item.id async for item in guard.list_review_items()] == [ids[-1]]
    assert len(set(ids)) == 2


async def test_a_quota_that_is_used_up_says_which_and_when_it_fits_again(tmp_path: Path) -> None:
    limits = {"acme": {"requests_per_minute": 2}, "beta": {"tokens_per_minute": 10}}
    keys = entry(ALL), entry(OTHER_TENANT, tenant="beta")
    file = write_access(tmp_path / "access.json", *keys, tenants=limits)
    async with running(Access(Settings(access_file=file, requests_per_minute=100))) as service:
        async with client(service, ALL) as guard:
            for _ in range(2):
                await guard.moderate("hello")
            with pytest.raises(QuotaExceeded) as error:
                await guard.moderate("hello")
            with pytest.raises(QuotaExceeded):  # never answered by a fallback
                await guard.moderate("hello", on_unavailable=OnUnavailable.BLOCK)
            (item,) = [item async for item in guard.moderate_batch(["hello"])]
        async with client(service, OTHER_TENANT) as guard:
            await guard.moderate("hello")  # more bytes than the limit, but 8 tokens
            with pytest.raises(QuotaExceeded) as tokens:
                await guard.moderate("hello")
    (violation,) = error.value.violations
    assert error.value.reason == "QUOTA_EXCEEDED"
    assert violation.field == "acme: requests_per_minute"
    assert violation.problem.startswith("2 are used up")
    assert 29 < (error.value.retry_after_s or 0) <= 30
    assert isinstance(item.error, QuotaExceeded)
    assert [each.field for each in tokens.value.violations] == ["beta: tokens_per_minute"]


async def test_what_is_not_judged_costs_a_request_and_no_tokens(tmp_path: Path) -> None:
    limits = {"acme": {"tokens_per_minute": 1000}}
    file = write_access(tmp_path / "access.json", entry(ALL), tenants=limits)
    async with (
        running(Access(Settings(access_file=file))) as service,
        client(service, ALL) as guard,
    ):
        for _ in range(5):
            with pytest.raises(InvalidRequest):
                await guard.moderate("x" * 900, policy="no such policy")
        service.reader.error = EngineUnavailable()
        for _ in range(5):
            answer = await guard.moderate("x" * 900, on_unavailable=OnUnavailable.BLOCK)
            assert answer.assessment is Assessment.UNAVAILABLE
        service.reader.error = None
        assert (await guard.moderate("x" * 900)).is_allowed


async def test_calls_to_two_servers_spend_one_quota(tmp_path: Path) -> None:
    url, tenant, limit = redis_url(), uuid4().hex, 300
    limits = {tenant: {"requests_per_minute": limit}}
    file = write_access(tmp_path / "access.json", entry(ALL, tenant=tenant), tenants=limits)
    access, limiters = (
        Access(Settings(access_file=file)),
        [SharedLimiter(url, 2, 10.0) for _ in "ab"],
    )
    started = time.monotonic()
    async with (
        running(access, limiters[0]) as one,
        running(access, limiters[1]) as other,
        client(one, ALL) as first,
        client(other, ALL) as second,
    ):

        async def is_answered(number: int) -> bool:
            try:
                await (first, second)[number % 2].moderate("hello")
            except GuardError as error:
                assert isinstance(error, QuotaExceeded | Overloaded)
                return False
            return True

        answered = 0
        for wave in range(25):  # each as large as both doors together
            answered += sum(await asyncio.gather(*(is_answered(n) for n in range(wave, wave + 40))))
        leaked = limit * (time.monotonic() - started) / 60
    for limiter in limiters:
        await limiter.close()
    assert limit <= answered <= limit + leaked + 2
