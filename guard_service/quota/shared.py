"""Counts what tenants use on several servers together, in Redis: one script, one atomic step.

Where Redis does not answer, each server goes on with what is left of its share of every quota.
"""

import asyncio
import logging
import time
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from guard_service.errors import QuotaExceeded, SettingsInvalid
from guard_service.quota.budget import Cost, Quota, exhausted, limits
from guard_service.quota.limiter import Limiter, LocalLimiter

log = logging.getLogger(__name__)

_TIMEOUT_S = 1.0  # as long as our own loop may stand still
_AWAY_S = 1.0  # after a failure, before Redis is asked again
_MAX_CONNECTIONS = 32


class SharedLimiter:
    def __init__(self, url: str, num_servers: int, timeout_s: float = _TIMEOUT_S) -> None:
        try:
            self._redis: Any = Redis.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:  # not its text: the URL can hold a password
            raise SettingsInvalid("quota_redis_url: not a URL of Redis") from None
        text = resources.files(__package__).joinpath("bucket.lua").read_text("utf-8")
        self._script = self._redis.register_script(text)
        self._num_servers = num_servers
        self._local = LocalLimiter()
        self._places = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._away_until_s: float | None = None  # None: Redis answers

    async def take(self, tenant: str, quota: Quota, cost: Cost) -> Limiter:
        share = quota.share(self._num_servers)
        waits_s = await self._run(tenant, quota, cost, is_refusable=True)
        if waits_s is None:
            await self._local.take(tenant, share, cost)
            return _Share(self._local, self._num_servers)
        if refused := tuple(exhausted(quota, waits_s)):
            raise QuotaExceeded(tenant, refused)
        self._local.note(tenant, share, cost)
        return self

    async def correct(self, tenant: str, quota: Quota, num_tokens: int) -> None:
        await self._run(tenant, quota, Cost(0, num_tokens), is_refusable=False)
        self._local.note(tenant, quota.share(self._num_servers), Cost(0, num_tokens))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _run(
        self, tenant: str, quota: Quota, cost: Cost, *, is_refusable: bool
    ) -> tuple[float, float] | None:
        """How long to wait for each limit, all 0 if the cost is charged; None without Redis."""
        async with self._places:
            if self._away_until_s is not None and time.monotonic() < self._away_until_s:
                return None
            try:
                requests_s, tokens_s = await self._script(
                    keys=[f"guard:quota:{tenant}"],
                    args=[*limits(quota), cost.requests, cost.tokens, int(is_refusable)],
                )
            except (RedisError, OSError, TimeoutError) as error:
                self._note(error)
                return None
        self._note(None)
        return float(requests_s), float(tokens_s)

    def _note(self, error: Exception | None) -> None:
        """Log that Redis went or came back, once."""
        was_away = self._away_until_s is not None
        self._away_until_s = time.monotonic() + _AWAY_S if error else None
        if error and not was_away:
            extra = {"action": "quota_store_lost", "error": type(error).__name__}
            log.error("each server goes on with its share of every quota", extra=extra)
        elif was_away and not error:
            log.info("quotas are counted together again", extra={"action": "quota_store_back"})


class _Share:
    """Corrects what was charged to this server's share."""

    def __init__(self, local: LocalLimiter, num_servers: int) -> None:
        self._local, self._num_servers = local, num_servers

    async def take(self, tenant: str, quota: Quota, cost: Cost) -> Limiter:
        await self._local.take(tenant, quota.share(self._num_servers), cost)
        return self

    async def correct(self, tenant: str, quota: Quota, num_tokens: int) -> None:
        await self._local.correct(tenant, quota.share(self._num_servers), num_tokens)

    async def close(self) -> None:
        pass
