"""What a check cost: tokens and milliseconds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from guard_service.batching.entry import Answer
from guard_service.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    queue_ms: float = 0.0
    inference_ms: float = 0.0
    total_ms: float = 0.0
    batch_size: int = 0


NO_USAGE, NO_TIMINGS = Usage(), Timings()


def usage_of(prompts: Sequence[Prompt]) -> Usage:
    return Usage(
        prompt_tokens=sum(prompt.num_tokens for prompt in prompts),
        cached_tokens=sum(len(prompt.prefix.ids) for prompt in prompts),
    )


def timings_of(answers: Sequence[Answer], started: float) -> Timings:
    """`started` is on the monotonic clock."""
    return Timings(
        queue_ms=max(answer.queue_ms for answer in answers),
        inference_ms=max(answer.inference_ms for answer in answers),
        total_ms=(time.monotonic() - started) * 1000,
        batch_size=max(answer.batch_size for answer in answers),
    )
