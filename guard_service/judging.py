"""Who judges a screening, opened with the terms on which it judges: here, a cluster, a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from guard_service.app import Guard, open_guard
from guard_service.client import AsyncGuardClient, ServerInfo
from guard_service.client import Policy as ServedPolicy
from guard_service.client.environment import shown as shown_to_server
from guard_service.config import Settings
from guard_service.conversation import Limits
from guard_service.errors import ScreeningRefused, StartupRefused, Unavailable
from guard_service.policy import Policy
from guard_service.screening.culprit import CulpritFinder
from guard_service.screening.engines import Engines
from guard_service.screening.judge import LocalJudge, NoReview
from guard_service.screening.referral import Referral, read_share
from guard_service.screening.remote import Expected, RemoteJudge
from guard_service.screening.row import Judged
from guard_service.screening.run import Bench

if TYPE_CHECKING:
    from guard_service.screening.cluster import Cluster

_DIGEST_POLLS = 240
_MAX_SERVER_DEATHS = 3  # what others ask may kill a server's engine too

Opened = AbstractAsyncContextManager["Bench | Cluster"]


@asynccontextmanager
async def judging_here(
    settings: Settings, patience_s: float = 600.0, review: str = "", tenant: str = ""
) -> AsyncIterator[Bench]:
    """The path in this process, with an engine of its own; `review` as of read_share."""
    async with open_guard(settings) as guard:
        await guard.engine.start()
        policy = guard.pipeline.policies[settings.default_policy]
        judged, pipeline = await _judged(guard, policy), replace(guard.pipeline, feed=NoReview())
        local = LocalJudge(pipeline, policy.id, policy.digest, settings.max_batch_requests)
        judge = CulpritFinder(local, patience_s)
        referral = None
        if review:
            referral = Referral(guard.prepared.store, policy, judged, read_share(review), tenant)
        yield Bench(judge, judged, *_levels(policy), referral)


@asynccontextmanager
async def judging_on_cluster(
    settings: Settings, address: str, engines: Engines, patience_s: float = 600.0
) -> AsyncIterator["Cluster"]:
    """Engines in the workers of a Ray cluster; here the model's files are only looked at."""
    try:
        from guard_service.screening.cluster import Cluster, connected
    except ImportError:
        raise StartupRefused("--ray needs Ray: pip install 'guard-service[ray]'") from None
    async with open_guard(settings) as guard:
        policy = guard.pipeline.policies[settings.default_policy]
        judged = await _judged(guard, policy)
    with connected(address, engines) as found:
        open_bench = partial(judging_here, found.settings(settings), patience_s)
        yield Cluster(open_bench, found, judged, *_levels(policy))


async def _judged(guard: Guard, policy: Policy) -> Judged:
    return Judged(
        policy.id,
        policy.version,
        policy.digest,
        guard.pipeline.model,
        await guard.digest,
        tuple(category.code for category in policy.categories),
    )


def _levels(policy: Policy) -> tuple[float, float, tuple[float | None, ...]]:
    """list_above, threshold and thresholds, as in a Bench."""
    thresholds = tuple(policy.rules[category.code].threshold for category in policy.categories)
    return policy.list_above, policy.threshold, thresholds


@asynccontextmanager
async def judging_there(server: str, policy_id: str, patience_s: float) -> AsyncIterator[Bench]:
    """A running server, asked as any client asks it."""
    async with AsyncGuardClient(server, timeout=60, **shown_to_server()) as client:
        await client.wait_until_ready(patience_s)
        info, policy = await _info(client), await _policy(client, policy_id)
        judged = Judged(
            policy.id,
            policy.version,
            policy.digest,
            info.model,
            info.model_digest,
            tuple(category.code for category in policy.categories),
        )
        limits = Limits(info.limits.max_messages, info.limits.max_conversation_bytes)
        expected = Expected(policy.id, policy.version, info.model)
        remote = RemoteJudge(client, expected, policy.digest, limits, patience_s)
        judge = CulpritFinder(remote, patience_s, _MAX_SERVER_DEATHS)
        thresholds = tuple(category.threshold for category in policy.categories)
        yield Bench(judge, judged, min(0.5, policy.threshold), policy.threshold, thresholds)


async def _info(client: AsyncGuardClient) -> ServerInfo:
    """What the server is, once it has read its model's files."""
    for _ in range(_DIGEST_POLLS):
        if (info := await client.server_info()).model_digest:
            return info
        await asyncio.sleep(0.5)
    raise Unavailable("the server does not say which model it has")


async def _policy(client: AsyncGuardClient, policy_id: str) -> ServedPolicy:
    for policy in await client.list_policies():
        if policy.id == policy_id or (not policy_id and policy.is_default):
            return policy
    raise ScreeningRefused(f"policy: the server has no policy {policy_id}")
