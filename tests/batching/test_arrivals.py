import random

import pytest

from guard_service.batching.arrivals import Arrivals


def test_it_says_how_many_calls_come_in_a_second() -> None:
    draw, arrivals, now_s, found = random.Random(1), Arrivals(), 0.0, []
    for _ in range(5000):
        now_s += draw.expovariate(200)
        found.append(arrivals.come(now_s, "a", 0.5))
    assert sum(found[1000:]) / 4000 == pytest.approx(200, rel=0.05)
    assert arrivals.come(now_s + 5, "a", 0.5) < 3  # the past is soon forgotten


def test_of_equal_callers_few_are_modest_and_one_among_them_who_asks_for_little_is() -> None:
    draw, arrivals, num_modest = random.Random(1), Arrivals(), 0
    num_calls = 8000
    for n in range(num_calls):
        now_s, name = n / 400, f"caller {draw.randrange(100)}"
        num_modest += n > 4000 and arrivals.is_modest(now_s, name, possible_per_s=40)
        arrivals.come(now_s, name, 0.25)
    assert num_modest < 0.02 * num_calls / 2
    now_s = num_calls / 400
    assert arrivals.is_modest(now_s, "another", 40)
    arrivals.come(now_s, "quiet", 0.25)
    assert arrivals.is_modest(now_s + 3, "quiet", 40)


def test_who_begins_to_flood_is_soon_not_modest() -> None:
    arrivals = Arrivals()
    for n in range(100):
        arrivals.come(n / 10, "quiet", 0.25)
    for n in range(20):
        arrivals.come(10 + n / 100, "flood", 0.25)
    assert arrivals.is_modest(10.2, "quiet", 30)
    assert not arrivals.is_modest(10.2, "flood", 30)


def test_callers_that_are_gone_are_forgotten() -> None:
    arrivals = Arrivals()
    for n in range(1000):
        arrivals.come(n, f"caller {n}", 0.25)
    assert len(arrivals._callers) < 50
