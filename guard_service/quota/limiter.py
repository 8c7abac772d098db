"""Counts what tenants use: here for one server, in shared.py for several."""

import time
from collections import OrderedDict
from typing import Protocol

from guard_service.errors import QuotaExceeded
from guard_service.quota.budget import Cost, Quota, Used, exhausted, limits

_MAX_TENANTS = 10_000  # then the one not seen for longest is forgotten


class Limiter(Protocol):
    async def take(self, tenant: str, quota: Quota, cost: Cost) -> "Limiter":
        """Charge all of the cost or, with QuotaExceeded, none; whom to correct it with."""
        ...

    async def correct(self, tenant: str, quota: Quota, num_tokens: int) -> None:
        """Charge so many tokens more, or fewer, than was thought; never refused."""
        ...

    async def close(self) -> None: ...


class LocalLimiter:
    def __init__(self) -> None:
        self._used: OrderedDict[str, Used] = OrderedDict()

    async def take(self, tenant: str, quota: Quota, cost: Cost) -> Limiter:
        used = self._now(tenant, quota)
        if refused := tuple(exhausted(quota, used.waits_s(quota, cost))):
            raise QuotaExceeded(tenant, refused)
        self._keep(tenant, used.plus(cost))
        return self

    def note(self, tenant: str, quota: Quota, cost: Cost) -> None:
        """Remember what was charged elsewhere, up to a full bucket: no debt comes of it."""
        used = self._now(tenant, quota).plus(cost)
        requests, tokens = limits(quota)
        self._keep(tenant, Used(min(used.requests, requests), min(used.tokens, tokens), used.at_s))

    async def correct(self, tenant: str, quota: Quota, num_tokens: int) -> None:
        self._keep(tenant, self._now(tenant, quota).plus(Cost(0, num_tokens)))

    async def close(self) -> None:
        pass

    def _now(self, tenant: str, quota: Quota) -> Used:
        return self._used.get(tenant, Used()).leaked(quota, time.monotonic())

    def _keep(self, tenant: str, used: Used) -> None:
        self._used[tenant] = used
        self._used.move_to_end(tenant)
        if len(self._used) > _MAX_TENANTS:
            self._used.popitem(last=False)
