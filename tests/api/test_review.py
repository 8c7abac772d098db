"""The review queue over gRPC, with principals: whose items, under whose name, and in what role."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from credentials import entry, write_access
from in_process import Running, running

from guard_service.access.access import Access
from guard_service.access.key import NewKey, make_key
from guard_service.client import (
    AsyncGuardClient,
    Conflict,
    GuardError,
    InvalidRequest,
    Outcome,
    PermissionDenied,
    ReviewClient,
)
from guard_service.config import Settings
from guard_service.review.account import Role
from guard_service.v1 import review_pb2 as pb

CHAT, ANN, BEN, STRANGER = make_key(), make_key(), make_key(), make_key()
T = TypeVar("T")

_LOOKING = {Role.LEAD, Role.ADMIN, Role.AUDITOR}
_WORKING = {Role.REVIEWER, Role.LEAD, Role.ADMIN}
_LEADING = {Role.LEAD, Role.ADMIN}
MAY = {
    "ListReviewItems": _LOOKING,
    "GetReviewItem": _LOOKING,
    "ClaimReviewItem": _WORKING,
    "RenewClaim": _WORKING,
    "ReleaseReviewItem": _WORKING,
    "ResolveReviewItem": _WORKING,
    "AppealReviewItem": _LEADING,
    "MarkGoldenItem": _LEADING,
    "WatchReviewFeed": _LOOKING,
}
METHODS = pb.DESCRIPTOR.services_by_name["ReviewService"].methods


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    file = write_access(
        tmp_path / "access.json",
        entry(CHAT),
        entry(ANN, name="ann"),
        entry(BEN, name="ben"),
        entry(STRANGER, tenant="beta", name="ann"),
    )
    async with running(Access(Settings(access_file=file))) as service:
        yield service


async def ask(
    service: Running, key: NewKey, work: Callable[[ReviewClient], T], reviewer: str = ""
) -> T:
    def call() -> T:
        with ReviewClient(service.target, api_key=key.text, reviewer=reviewer) as client:
            return work(client)

    return await asyncio.to_thread(call)


async def flag(service: Running) -> str:
    async with AsyncGuardClient(service.target, api_key=CHAT.text) as client:
        return (await client.moderate("harm")).review_item_id


async def test_an_item_is_claimed_resolved_appealed_and_overturned(service: Running) -> None:
    item_id = await flag(service)
    claim: Any = await ask(service, ANN, lambda c: c.claim())
    assert (claim.item.id, claim.messages) == (item_id, ())
    assert await ask(service, BEN, lambda c: c.claim()) is None
    renewed = await ask(service, ANN, lambda c: c.renew(item_id, claim.token, lease_s=3600))
    assert renewed.lease_until > claim.lease_until
    await ask(service, ANN, lambda c: c.resolve(item_id, claim.token, Outcome.UPHELD))
    await ask(service, CHAT, lambda c: c.appeal(item_id))
    assert await ask(service, ANN, lambda c: c.claim()) is None
    second: Any = await ask(service, BEN, lambda c: c.claim(categories=["S1"]))
    codes = ["S1"]
    await ask(
        service,
        BEN,
        lambda c: c.resolve(item_id, second.token, Outcome.OVERTURNED, codes=codes),
    )
    await ask(service, ANN, lambda c: c.mark_golden(item_id))


@pytest.mark.parametrize(
    ("key", "act", "kind", "reason"),
    [
        (BEN, lambda c, i, t: c.resolve(i, t, Outcome.UPHELD), Conflict, "CLAIM_LOST"),
        (ANN, lambda c, i, t: c.release(i, t + 1), Conflict, "CLAIM_LOST"),
        (ANN, lambda c, i, t: c.appeal(i), Conflict, "NOT_APPEALABLE"),
        (ANN, lambda c, i, t: c.mark_golden(i), Conflict, "NOT_RESOLVED"),
        (ANN, lambda c, i, t: c.release("0" * 32, t), InvalidRequest, "REVIEW_ITEM_UNKNOWN"),
        (STRANGER, lambda c, i, t: c.release(i, t), InvalidRequest, "REVIEW_ITEM_UNKNOWN"),
        (ANN, lambda c, i, t: c.release("\x00", t), InvalidRequest, "INVALID_REQUEST"),
        (ANN, lambda c, i, t: c.claim(categories=["x"]), InvalidRequest, "INVALID_REQUEST"),
        (ANN, lambda c, i, t: c.claim(lease_s=3601), InvalidRequest, "INVALID_REQUEST"),
    ],
)
async def test_what_cannot_be_done_is_told_by_its_own_reason(
    service: Running,
    key: NewKey,
    act: Callable[[ReviewClient, str, int], Any],
    kind: type[GuardError],
    reason: str,
) -> None:
    item_id = await flag(service)
    claim: Any = await ask(service, ANN, lambda c: c.claim())
    with pytest.raises(kind) as error:
        await ask(service, key, lambda c: act(c, item_id, claim.token))
    assert error.value.reason == reason


async def test_nobody_acts_under_the_name_or_for_the_tenant_of_another(service: Running) -> None:
    await flag(service)
    with pytest.raises(PermissionDenied):
        await ask(service, ANN, lambda c: c.claim(), reviewer="ben")
    assert await ask(service, STRANGER, lambda c: c.claim()) is None


async def test_a_server_that_asks_nobody_wants_a_name() -> None:
    async with running(Access(Settings())) as service:

        def call(reviewer: str) -> Any:
            with ReviewClient(service.target, reviewer=reviewer) as client:
                return client.claim()

        with pytest.raises(InvalidRequest, match="reviewer"):
            await asyncio.to_thread(call, "")
        assert await asyncio.to_thread(call, "ann") is None


async def is_forbidden(service: Running, name: str, key: NewKey) -> bool:
    """Whether the roles of the key do not allow an (empty, and so mostly invalid) request."""
    headers = (("authorization", f"Bearer {key.text}"),)
    path = f"/{pb.DESCRIPTOR.package}.ReviewService/{name}"
    async with grpc.aio.insecure_channel(service.target) as channel:
        try:
            if name == "WatchReviewFeed":
                stream = channel.unary_stream(path)(b"", metadata=headers, timeout=1)
                await stream.read()
            else:
                await channel.unary_unary(path)(b"", metadata=headers, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.PERMISSION_DENIED
    return False


@pytest.mark.parametrize("roles", [[], *([role.value] for role in Role), ["reviewer", "auditor"]])
async def test_each_role_may_do_what_is_written_here_and_nothing_else(
    roles: list[str], tmp_path: Path
) -> None:
    key = make_key()
    file = write_access(tmp_path / "access.json", entry(key, roles=roles))
    async with running(Access(Settings(access_file=file))) as service:
        for method in METHODS:
            may = any(Role(role) in MAY[method.name] for role in roles)
            assert await is_forbidden(service, method.name, key) is not may, method.name


async def test_who_is_not_cleared_is_not_given_what_is_kept_from_them(tmp_path: Path) -> None:
    ann, ben = make_key(), make_key()
    file = write_access(
        tmp_path / "access.json",
        entry(CHAT, roles=[]),
        entry(ann, name="ann", roles=["reviewer"]),
        entry(ben, name="ben", roles=["reviewer"], cleared=True),
    )
    async with running(Access(Settings(access_file=file)), restricted=("S1",)) as service:
        await flag(service)
        assert await ask(service, ann, lambda c: c.claim()) is None
        assert await ask(service, ben, lambda c: c.claim()) is not None
