"""What a principal may use, and that nothing of one tenant reaches another."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from credentials import entry, write_access
from in_process import Running, running

from guard_service.access.access import Access
from guard_service.access.key import NewKey, make_key
from guard_service.client import AsyncGuardClient, PermissionDenied
from guard_service.config import Settings
from guard_service.engine.entry import Lane

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
