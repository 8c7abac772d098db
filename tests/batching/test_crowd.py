from guard_service.batching.crowd import Crowd, Prospect

GRACE_S = 0.25


def admits(
    crowd: Crowd, now_s: float, num_waiting: float, coming: float = 0.0, *, is_modest: bool = False
) -> bool:
    prospect = Prospect(num_waiting, max(1 - num_waiting, 0.0), coming, is_modest)
    return crowd.admits(now_s, GRACE_S, prospect)


def lasting() -> Crowd:
    crowd = Crowd(1)
    assert admits(crowd, 0.0, 0)
    assert not admits(crowd, 0.3, 1.01)
    return crowd


def test_a_burst_is_let_in() -> None:
    crowd = Crowd(1)
    assert all(admits(crowd, n / 1000, n / 10) for n in range(20))
    assert admits(crowd, 0.2, 0.5)
    assert admits(crowd, 0.4, 1.5)


def test_a_crowd_that_stays_is_kept_to_one_pass() -> None:
    crowd = lasting()
    assert not admits(crowd, 0.4, 1.2)
    assert admits(crowd, 0.41, 0.9)
    assert not admits(crowd, 0.42, 1.01)


def test_the_room_may_be_more() -> None:
    crowd = Crowd(3)
    assert admits(crowd, 0.0, 0)
    assert admits(crowd, 0.05, 6)
    assert not admits(crowd, 0.1, 6.1)
    assert not admits(crowd, 0.2, 3.1)
    assert admits(crowd, 0.3, 3)


def test_a_queue_of_many_passes_is_a_crowd_at_once() -> None:
    crowd = Crowd(1)
    assert admits(crowd, 0.0, 0)
    assert admits(crowd, 0.01, 2)
    assert not admits(crowd, 0.02, 2.1)


def test_who_comes_early_is_refused_where_others_will_fill_the_pass_all_the_same() -> None:
    crowd = lasting()
    assert not admits(crowd, 0.4, 0.2, coming=9)
    assert not admits(crowd, 0.41, 0.2, coming=1.7)
    assert admits(crowd, 0.42, 0.2, coming=1.5)
    assert not admits(crowd, 0.43, 0.6, coming=1.5)
    assert admits(crowd, 0.44, 0.6, coming=0.5)


def test_nobody_comes_early_where_nobody_crowds() -> None:
    crowd = Crowd(1)
    assert all(admits(crowd, n / 100, 0.2, coming=9) for n in range(100))


def test_it_is_over_when_no_more_came_than_could_be_done_for_a_while() -> None:
    crowd = lasting()
    assert admits(crowd, 0.5, 0)
    assert not admits(crowd, 0.52, 1.5)
    assert not admits(crowd, 0.7, 0.5, coming=9)
    assert not admits(crowd, 0.9, 1.5)
    assert admits(crowd, 1.2, 0)
    assert admits(crowd, 1.21, 1.5)


def test_a_caller_who_asks_for_little_is_let_in_among_others_who_crowd() -> None:
    crowd = lasting()
    assert admits(crowd, 0.4, 0.2, coming=9, is_modest=True)
    assert admits(crowd, 0.4, 3, is_modest=True)
    assert not admits(crowd, 0.4, 3.1, is_modest=True)


def test_passes_that_were_not_full_let_others_come_earlier() -> None:
    crowd = lasting()
    assert not admits(crowd, 0.4, 0.2, coming=6)
    for n in range(3):
        assert not admits(crowd, 0.41 + n / 100, 0.2, coming=9)
        crowd.saw_pass(0.5)
    assert admits(crowd, 0.5, 0.2, coming=6)
    for _ in range(50):
        crowd.saw_pass(1.0)
    assert not admits(crowd, 0.6, 0.2, coming=6)


def test_after_a_pause_a_new_crowd_has_its_grace() -> None:
    crowd = lasting()
    assert admits(crowd, 60.0, 0)
    assert admits(crowd, 60.1, 2)
