"""The settings' limits, as each room takes them."""

from guard_service.batching.scheduler import BatchLimits
from guard_service.config import Settings
from guard_service.conversation import Limits
from guard_service.supervision.watchdog import Patience


def conversation_limits(settings: Settings) -> Limits:
    return Limits(settings.max_messages, settings.max_conversation_bytes)


def batch_limits(settings: Settings) -> BatchLimits:
    return BatchLimits(
        settings.max_batch_tokens,
        settings.max_bulk_batch_tokens,
        settings.max_batch_requests,
        settings.max_wait_ms,
        max_queue_passes=settings.max_queue_passes,
    )


def patience(settings: Settings) -> Patience:
    return Patience(
        settings.max_pass_s, settings.max_pass_factor, settings.heartbeat_s, settings.max_start_s
    )
