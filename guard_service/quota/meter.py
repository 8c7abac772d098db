"""Charges each check to its tenant: by bytes before anything is done, by tokens once counted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from guard_service.config import Settings
from guard_service.errors import GuardError
from guard_service.quota.budget import Cost, Quota
from guard_service.quota.limiter import Limiter, LocalLimiter

Settle = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class _Charge:
    """The tokens that one check has been charged so far."""

    limiter: Limiter
    tenant: str
    quota: Quota
    num_tokens: int

    async def settle(self, num_tokens: int) -> None:
        """Charge exactly so many tokens, whatever was charged before."""
        more, self.num_tokens = num_tokens - self.num_tokens, num_tokens
        if more and self.quota.tokens_per_minute:
            # Once begun it must end, or the tenant is charged amiss.
            await asyncio.shield(self.limiter.correct(self.tenant, self.quota, more))


@dataclass(frozen=True, slots=True)
class Meter:
    limiter: Limiter
    quota_of: Callable[[str], Quota]

    @asynccontextmanager
    async def charge(self, tenant: str, num_bytes: int) -> AsyncIterator[Settle]:
        """Charge a request, or raise QuotaExceeded; what ends in an error of ours costs no tokens.

        Tokens are at most bytes. A request of more bytes than the limit is let in by an empty
        bucket, as its tokens may well be fewer.
        """
        quota = self.quota_of(tenant)
        if quota.is_unlimited:
            yield free
            return
        num_tokens = min(num_bytes, quota.tokens_per_minute)
        limiter = await self.limiter.take(tenant, quota, Cost(1, num_tokens))
        charge = _Charge(limiter, tenant, quota, num_tokens)
        try:
            yield charge.settle
        except GuardError:
            await charge.settle(0)
            raise


def open_limiter(settings: Settings) -> Limiter:
    if not settings.quota_redis_url:
        return LocalLimiter()
    from guard_service.quota.shared import SharedLimiter  # most servers count alone

    return SharedLimiter(settings.quota_redis_url, settings.quota_servers)


async def free(_: int) -> None:
    pass
