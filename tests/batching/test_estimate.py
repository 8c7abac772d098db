import random

import pytest

from guard_service.batching.estimate import Estimate


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def learned(seconds_of, num_passes: int = 200, clock: Clock | None = None) -> Estimate:  # type: ignore[no-untyped-def]
    draw = random.Random(1)
    estimate = Estimate(clock or Clock())
    for _ in range(num_passes):
        num_tokens = draw.randrange(50, 2000)
        estimate.add(num_tokens, seconds_of(num_tokens, draw))
    return estimate


def test_it_finds_the_fixed_part_and_the_slope_and_is_a_little_pessimistic() -> None:
    estimate = learned(lambda n, draw: (0.003 + n * 2e-5) * draw.uniform(0.9, 1.1))
    for num_tokens in (100, 1000, 2000):
        truth = 0.003 + num_tokens * 2e-5
        assert truth < estimate.predict_s(num_tokens) < truth * 1.25


def test_passes_of_one_size_predict_themselves() -> None:
    estimate = Estimate(Clock())
    for _ in range(5):
        estimate.add(100, 0.01)
    assert 0.01 <= estimate.predict_s(100) < 0.012
    assert estimate.predict_s(1) >= 0


def test_one_pass_that_hung_does_not_refuse_those_after_it() -> None:
    estimate = learned(lambda n, _: 0.003 + n * 2e-5)
    before = estimate.predict_s(500)
    estimate.add(500, 60.0)
    assert estimate.predict_s(500) < 1.5 * before


def test_an_engine_that_really_became_slow_is_believed() -> None:
    estimate = learned(lambda n, _: n * 1e-5)
    for _ in range(60):
        estimate.add(500, 1.0)
        estimate.add(1000, 2.0)
    assert 0.8 < estimate.predict_s(500) < 1.5


def test_it_ends_when_nothing_is_measured() -> None:
    clock = Clock()
    estimate = learned(lambda _, __: 30.0, clock=clock)
    assert estimate.predict_s(10) > 1
    clock.now_s = 60.0
    assert estimate.predict_s(10) == 0.0
    estimate.add(100, 0.01)
    assert estimate.predict_s(100) == pytest.approx(0.011)
