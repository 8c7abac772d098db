import time

import pytest

from guard_service.errors import QuotaExceeded
from guard_service.quota.budget import Cost, Quota
from guard_service.quota.limiter import LocalLimiter

QUOTA = Quota(3, 1000)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def test_a_tenant_has_its_quota_and_no_other_s(clock: Clock) -> None:
    limiter = LocalLimiter()
    for _ in range(3):
        await limiter.take("a", QUOTA, Cost(1, 10))
    with pytest.raises(QuotaExceeded) as error:
        await limiter.take("a", QUOTA, Cost(1, 10))
    assert [each.budget for each in error.value.exhausted] == ["requests_per_minute"]
    assert error.value.retry_after_s == pytest.approx(20.0)
    await limiter.take("b", QUOTA, Cost(1, 10))
    clock.now_s += error.value.retry_after_s
    await limiter.take("a", QUOTA, Cost(1, 10))


async def test_what_is_refused_is_not_charged(clock: Clock) -> None:
    limiter = LocalLimiter()
    for _ in range(5):
        with pytest.raises(QuotaExceeded):
            await limiter.take("a", QUOTA, Cost(1, 1001))
    await limiter.take("a", QUOTA, Cost(1, 1000))


async def test_a_correction_is_never_refused_and_is_paid_before_the_next(clock: Clock) -> None:
    limiter = LocalLimiter()
    await limiter.take("a", QUOTA, Cost(1, 500))
    await limiter.correct("a", QUOTA, 1500)
    with pytest.raises(QuotaExceeded) as error:
        await limiter.take("a", QUOTA, Cost(1, 0))
    assert error.value.retry_after_s == pytest.approx(60.0)
    await limiter.correct("a", QUOTA, -5000)
    await limiter.take("a", QUOTA, Cost(1, 1000))


async def test_memory_is_bounded_however_many_come(clock: Clock) -> None:
    limiter = LocalLimiter()
    for number in range(10_100):
        await limiter.take(str(number), QUOTA, Cost(1, 1))
    assert len(limiter._used) == 10_000
