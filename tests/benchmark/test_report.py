import math

import pytest

from guard_service.benchmark.report import agreement, latency, percentile, throughput
from guard_service.benchmark.traffic import Answered, Call, Run
from guard_service.benchmark.work import Shape

SHAPE = Shape(num_layers=1, width=8, inner_width=16, query_width=8, kv_width=4, vocabulary=32)


def answered(pass_size: int = 1, score: float = 0.0) -> Answered:
    return Answered(score, new_tokens=100, prefix_tokens=150, pass_size=pass_size)


def run(*calls: Answered | None, seconds: float = 2.0) -> Run:
    return Run(tuple(Call(10.0 * n, one) for n, one in enumerate(calls, 1)), seconds)


def test_throughput_counts_what_was_answered() -> None:
    found = throughput("W100", run(answered(), answered(), None), None, None, None)
    assert (found.num_requests, found.num_failed) == (3, 1)
    assert (found.requests_per_s, found.prompt_tokens_per_s) == (1.0, 250.0)
    assert (found.mfu, found.cost_per_million_tokens) == (None, None)


def test_a_pass_is_counted_once_however_many_requests_it_held() -> None:
    found = throughput("W100", run(*[answered(3)] * 3, answered(1)), None, None, None)
    assert found.requests_per_pass == pytest.approx(2)
    assert found.tokens_per_pass == pytest.approx(200)


def test_mfu_is_the_share_of_the_matrix_product_that_useful_work_is() -> None:
    done = SHAPE.flops(150, 100) / 2.0
    assert throughput("W100", run(answered()), SHAPE, 4 * done, None).mfu == pytest.approx(0.25)


def test_a_million_tokens_cost_what_the_machine_costs_meanwhile() -> None:
    found = throughput("W100", run(answered(), seconds=1.0), None, None, price_per_hour=3.6)
    assert found.cost_per_million_tokens == pytest.approx(0.001 / 250 * 1e6)


def test_latency_is_of_the_calls_that_were_answered() -> None:
    found = latency("W100", 0.8, 40.0, run(*[answered()] * 100, None))
    assert (found.p50_ms, found.p99_ms, found.max_ms) == (500.0, 990.0, 1000.0)
    assert found.num_failed == 1


def test_without_an_answer_there_is_no_latency() -> None:
    assert math.isnan(latency("W100", 0.8, 40.0, run(None)).p99_ms)


def test_flips_count_as_wrong_only_outside_the_band() -> None:
    expected, scores = [0.49, 0.2, 0.9, None, 0.7], [0.51, 0.6, 0.9, 0.1, 0.75]
    found = agreement("W100", "fp8", "bfloat16", scores, expected)
    assert (found.num_prompts, found.num_flips, found.num_flips_outside_band) == (4, 2, 1)
    assert found.max_difference == pytest.approx(0.4)
    assert found.mean_difference == pytest.approx((0.02 + 0.4 + 0 + 0.05) / 4)


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.51, 3), (0.99, 4), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert percentile([1, 2, 3, 4], share) == value
