import pytest

from guard_service.quota.budget import Cost, Quota, Used, exhausted

QUOTA = Quota(60, 6000)


def test_what_is_used_leaks_away_in_a_minute_and_never_below_nothing() -> None:
    used = Used(30, 6000, 100.0)
    assert used.leaked(QUOTA, 110.0) == Used(20, 5000, 110.0)
    assert used.leaked(QUOTA, 1e9) == Used(0, 0, 1e9)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    assert Used(30, 6000, 100.0).leaked(QUOTA, 40.0) == Used(30, 6000, 40.0)


def test_what_does_not_fit_names_its_limit_and_when_it_will() -> None:
    used = Used(60, 5900, 0.0)
    (requests, tokens) = exhausted(QUOTA, used.waits_s(QUOTA, Cost(1, 200)))
    assert (requests.budget, requests.limit) == ("requests_per_minute", 60)
    assert (tokens.budget, tokens.limit) == ("tokens_per_minute", 6000)
    assert (requests.retry_after_s, tokens.retry_after_s) == pytest.approx((1.0, 1.0))
    later = used.leaked(QUOTA, 1.001)
    assert not list(exhausted(QUOTA, later.waits_s(QUOTA, Cost(1, 200))))


def test_no_limit_is_none() -> None:
    assert Quota().is_unlimited
    assert Used(1e9, 1e9).waits_s(Quota(), Cost(1, 10**9)) == (0.0, 0.0)


def test_a_share_is_never_nothing_and_no_limit_stays_none() -> None:
    assert Quota(100, 1).share(3) == Quota(33, 1)
    assert Quota(0, 9).share(3) == Quota(0, 3)
