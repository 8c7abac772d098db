from guard_service.engine.crowd import Crowd

GRACE_S = 0.25


def admits(crowd: Crowd, now_s: float, num_tokens: int, num_own: int | None = None) -> bool:
    """One caller, unless it has less than all waiting; then it is one of two."""
    own, share = (num_tokens, 1.0) if num_own is None else (num_own, 0.5)
    return crowd.admits(now_s, GRACE_S, num_tokens, own, share)


def lasting() -> Crowd:
    crowd = Crowd(1000)
    assert admits(crowd, 0.0, 0)
    assert not admits(crowd, 0.3, 1001)
    return crowd


def test_a_burst_is_let_in() -> None:
    crowd = Crowd(1000)
    assert all(admits(crowd, n / 1000, n * 100) for n in range(80))
    assert admits(crowd, 0.2, 500)
    assert admits(crowd, 0.4, 5000)


def test_a_crowd_that_stays_is_kept_to_one_pass() -> None:
    crowd = lasting()
    assert not admits(crowd, 0.4, 1200)
    assert admits(crowd, 0.41, 900)
    assert not admits(crowd, 0.42, 1001)


def test_a_queue_of_many_passes_is_a_crowd_at_once() -> None:
    crowd = Crowd(1000)
    assert admits(crowd, 0.0, 0)
    assert admits(crowd, 0.01, 8000)
    assert not admits(crowd, 0.02, 8001)


def test_it_is_over_when_the_queue_was_short_for_a_while() -> None:
    crowd = lasting()
    assert admits(crowd, 0.5, 0)
    assert not admits(crowd, 0.52, 2000)
    assert admits(crowd, 0.8, 0)
    assert admits(crowd, 0.81, 2000)


def test_a_caller_with_little_waiting_is_let_in_among_others_who_crowd() -> None:
    crowd = lasting()
    assert admits(crowd, 0.4, 2000, num_own=0)
    assert admits(crowd, 0.4, 2000, num_own=500)
    assert not admits(crowd, 0.4, 2000, num_own=501)
    assert not admits(crowd, 0.4, 12_001, num_own=0)


def test_after_a_pause_a_new_crowd_has_its_grace() -> None:
    crowd = lasting()
    assert admits(crowd, 60.0, 0)
    assert admits(crowd, 60.1, 3000)
