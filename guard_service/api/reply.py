"""From our outcome to the wire's messages. Decides nothing."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import cache

from guard_service import __version__
from guard_service.conversation import Limits
from guard_service.pipeline import Outcome
from guard_service.policy import Policy
from guard_service.review.item import ReviewItem
from guard_service.sign import TextSign
from guard_service.taxonomy import TAXONOMY, HazardCategory
from guard_service.v1 import moderation_pb2 as pb
from guard_service.v1 import review_pb2
from guard_service.verdict import Reading, Verdict


@dataclass(frozen=True, slots=True)
class ServerInfo:
    model: str
    model_digest: str
    device: str
    dtype: str
    is_development: bool
    limits: Limits
    max_window_tokens: int
    max_concurrent_requests: int


def response_from_outcome(
    outcome: Outcome, *, include_readings: bool = False
) -> pb.ModerateResponse:
    response = pb.ModerateResponse(
        request_id=outcome.request_id,
        action=wire_name(outcome.decision.action),
        review=outcome.decision.needs_review,
        review_item_id=outcome.review_item_id,
        assessment=wire_name(outcome.assessment),
        usage=pb.Usage(
            prompt_tokens=outcome.usage.prompt_tokens, cached_tokens=outcome.usage.cached_tokens
        ),
        timings=pb.Timings(
            queue_ms=outcome.timings.queue_ms,
            inference_ms=outcome.timings.inference_ms,
            total_ms=outcome.timings.total_ms,
            batch_size=outcome.timings.batch_size,
        ),
        policy=outcome.policy.id,
        policy_version=outcome.policy.version,
        model=outcome.model,
        text_signs=[wire_name(sign) for sign in TextSign if sign in outcome.signs],
    )
    if outcome.verdict is not None:
        response.verdict.CopyFrom(_verdict(outcome.verdict))
        if outcome.worst is not None:
            response.verdict.message = outcome.worst.message
            response.verdict.cleaned = outcome.worst.is_cleaned
    if outcome.coverage is not None:
        response.coverage.judged_chars = outcome.coverage.judged_chars
        response.coverage.total_chars = outcome.coverage.total_chars
        response.coverage.windows = outcome.coverage.windows
    if include_readings:
        response.readings.extend(map(_reading, outcome.readings))
    return response


def info_message(info: ServerInfo) -> pb.GetServerInfoResponse:
    return pb.GetServerInfoResponse(
        model=info.model,
        model_digest=info.model_digest,
        device=info.device,
        dtype=info.dtype,
        development_model=info.is_development,
        server_version=__version__,
        limits=pb.Limits(
            max_messages=info.limits.max_messages,
            max_conversation_bytes=info.limits.max_conversation_bytes,
            max_window_tokens=info.max_window_tokens,
            max_concurrent_requests=info.max_concurrent_requests,
        ),
    )


def policy_message(policy: Policy) -> pb.Policy:
    return pb.Policy(
        id=policy.id,
        version=policy.version,
        digest=policy.digest,
        description=policy.description,
        threshold=policy.threshold,
        on_unavailable=wire_name(policy.on_unavailable),
        categories=[_policy_category(policy, category) for category in policy.categories],
    )


def review_item_message(item: ReviewItem) -> review_pb2.ReviewItem:
    message = review_pb2.ReviewItem(
        id=item.id,
        request_id=item.request_id,
        reason=wire_name(item.reason),
        action=wire_name(item.action),
        judged_role=wire_name(item.judged_role),
        unsafe_score=item.unsafe_score,
        codes=item.codes,
        policy=item.policy,
        policy_version=item.policy_version,
        model=item.model,
        conversation_digest=item.conversation_digest,
        labels=dict(item.labels),
    )
    message.created_at.FromDatetime(item.created_at)
    return message


def _verdict(verdict: Verdict) -> pb.Verdict:
    return pb.Verdict(
        unsafe=verdict.is_unsafe,
        unsafe_score=verdict.unsafe_score,
        label_mass=verdict.label_mass,
        categories=[
            pb.CategoryScore(
                category=_category(score.category),
                code=score.category.code,
                name=score.category.name,
                score=score.score,
                flagged=score.is_flagged,
            )
            for score in verdict.categories
        ],
    )


def _reading(reading: Reading) -> pb.Reading:
    return pb.Reading(
        unsafe_score=reading.unsafe_score,
        label_mass=reading.label_mass,
        first_scores=reading.first_scores,
        listed=reading.listed,
    )


def _policy_category(policy: Policy, category: HazardCategory) -> pb.PolicyCategory:
    rule = policy.rules[category.code]
    return pb.PolicyCategory(
        category=_category(category),
        code=category.code,
        name=category.name,
        definition=category.definition,
        threshold=rule.threshold,
        action=wire_name(rule.action),
    )


def _category(category: HazardCategory) -> str:
    """S1 to S14 have the numbers 1 to 14; added ones have none."""
    number = int(category.code[1:]) if category.code in TAXONOMY else 0
    return pb.HazardCategory.Name(number)


@cache
def wire_name(member: Enum) -> str:
    """ON_UNAVAILABLE_ALLOW for OnUnavailable.ALLOW: the contract's names are ours, prefixed."""
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(member).__name__).upper()
    return f"{prefix}_{member.name}"
