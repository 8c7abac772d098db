"""What a measurement found, in figures that other people can compare."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from guard_service.benchmark.traffic import Run
from guard_service.benchmark.work import Shape

Scores = Sequence[float | None]

THRESHOLD = 0.5
BAND = 0.02  # around the threshold, where rounding may tip a verdict


@dataclass(frozen=True, slots=True)
class Throughput:
    """Closed loop, at saturation."""

    workload: str
    num_requests: int
    num_failed: int
    requests_per_s: float
    prompt_tokens_per_s: float  # with the shared prefix, as a price list counts
    new_tokens_per_s: float  # that went through the model
    requests_per_pass: float
    tokens_per_pass: float
    unsafe_share: float
    mfu: float | None  # useful FLOPs against the matrix product of the same run
    cost_per_million_tokens: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """Open loop, Poisson, at a share of the measured saturation."""

    workload: str
    share: float
    offered_per_s: float
    answered_per_s: float
    num_failed: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    requests_per_pass: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How another number type reads against the reference's."""

    dtype: str
    reference: str
    workload: str
    num_prompts: int
    num_flips: int
    num_flips_outside_band: int
    max_difference: float
    mean_difference: float


@dataclass(frozen=True, slots=True)
class Report:
    model: str
    target: str
    device: str
    dtype: str
    machine: str
    version: str
    measured_at: str
    load_s: float | None
    peak_ram_bytes: int | None
    peak_gpu_bytes: int | None
    matmul_flops_per_s: float | None
    throughput: tuple[Throughput, ...]
    latency: tuple[Latency, ...]
    agreement: tuple[Agreement, ...]


def throughput(
    workload: str,
    run: Run,
    shape: Shape | None,
    matmul_flops_per_s: float | None,
    price_per_hour: float | None,
) -> Throughput:
    answers = run.answers
    new = sum(answer.new_tokens for answer in answers)
    prompt = new + sum(answer.prefix_tokens for answer in answers)
    passes = sum(1 / answer.pass_size for answer in answers) or 1
    mfu = None
    if shape and matmul_flops_per_s:
        flops = sum(shape.flops(answer.prefix_tokens, answer.new_tokens) for answer in answers)
        mfu = flops / run.seconds / matmul_flops_per_s
    cost = None
    if price_per_hour is not None and prompt:
        cost = price_per_hour / 3600 * run.seconds / prompt * 1e6
    unsafe = sum(answer.unsafe_score >= THRESHOLD for answer in answers)
    return Throughput(
        workload=workload,
        num_requests=len(run.calls),
        num_failed=len(run.calls) - len(answers),
        requests_per_s=len(answers) / run.seconds,
        prompt_tokens_per_s=prompt / run.seconds,
        new_tokens_per_s=new / run.seconds,
        requests_per_pass=len(answers) / passes,
        tokens_per_pass=new / passes,
        unsafe_share=unsafe / max(1, len(answers)),
        mfu=mfu,
        cost_per_million_tokens=cost,
    )


def latency(workload: str, share: float, offered_per_s: float, run: Run) -> Latency:
    answers = run.answers
    waits = sorted(call.latency_ms for call in run.calls if call.answered) or [float("nan")]
    return Latency(
        workload=workload,
        share=share,
        offered_per_s=offered_per_s,
        answered_per_s=len(answers) / run.seconds,
        num_failed=len(run.calls) - len(answers),
        p50_ms=percentile(waits, 0.5),
        p90_ms=percentile(waits, 0.9),
        p99_ms=percentile(waits, 0.99),
        max_ms=waits[-1],
        requests_per_pass=len(answers) / (sum(1 / a.pass_size for a in answers) or 1),
    )


def agreement(
    workload: str, dtype: str, reference: str, scores: Scores, expected: Scores
) -> Agreement:
    pairs = [
        (other, score)
        for other, score in zip(scores, expected, strict=True)
        if other is not None and score is not None
    ]
    flips = [score for other, score in pairs if (other >= THRESHOLD) != (score >= THRESHOLD)]
    differences = [abs(other - score) for other, score in pairs] or [float("nan")]
    return Agreement(
        dtype=dtype,
        reference=reference,
        workload=workload,
        num_prompts=len(pairs),
        num_flips=len(flips),
        num_flips_outside_band=sum(abs(score - THRESHOLD) > BAND for score in flips),
        max_difference=max(differences),
        mean_difference=statistics.fmean(differences),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ordered values that `share` of them do not exceed."""
    place = -(-len(ordered) * share // 1)
    return ordered[max(0, int(place) - 1)]
