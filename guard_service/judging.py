"""Who judges a screening, opened with the terms on which it judges: here, or a running server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from guard_service.app import open_guard
from guard_service.client import AsyncGuardClient, Policy, ServerInfo
from guard_service.client.environment import shown as shown_to_server
from guard_service.config import Settings
from guard_service.conversation import Limits
from guard_service.errors import ScreeningRefused, Unavailable
from guard_service.screening.culprit import CulpritFinder
from guard_service.screening.judge import Bench, LocalJudge, NoReview
from guard_service.screening.referral import Referral, read_share
from guard_service.screening.remote import Expected, RemoteJudge
from guard_service.screening.row import Judged

_DIGEST_POLLS = 240


@asynccontextmanager
async def judging_here(
    settings: Settings, patience_s: float = 600.0, review: str = ""
) -> AsyncIterator[Bench]:
    """The path in this process, with an engine of its own; `review` as of read_share."""
    async with open_guard(settings) as guard:
        await guard.engine.start()
        policy = guard.pipeline.policies[settings.default_policy]
        judged = Judged(
            policy.id,
            policy.version,
            policy.digest,
            guard.pipeline.model,
            await guard.digest,
            tuple(category.code for category in policy.categories),
        )
        pipeline = replace(guard.pipeline, feed=NoReview())
        local = LocalJudge(pipeline, policy.id, settings.max_batch_requests)
        judge = CulpritFinder(local, patience_s)
        thresholds = tuple(policy.rules[code].threshold for code in judged.codes)
        referral = None
        if review:
            store, model = guard.prepared.store, guard.pipeline.model
            referral = Referral(store, policy, model, read_share(review))
        yield Bench(judge, judged, policy.list_above, policy.threshold, thresholds, referral)


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
        judge = RemoteJudge(client, expected, limits, patience_s)
        thresholds = tuple(category.threshold for category in policy.categories)
        yield Bench(judge, judged, min(0.5, policy.threshold), policy.threshold, thresholds)


async def _info(client: AsyncGuardClient) -> ServerInfo:
    """What the server is, once it has read its model's files."""
    for _ in range(_DIGEST_POLLS):
        if (info := await client.server_info()).model_digest:
            return info
        await asyncio.sleep(0.5)
    raise Unavailable("the server does not say which model it has")


async def _policy(client: AsyncGuardClient, policy_id: str) -> Policy:
    for policy in await client.list_policies():
        if policy.id == policy_id or (not policy_id and policy.is_default):
            return policy
    raise ScreeningRefused(f"policy: the server has no policy {policy_id}")
