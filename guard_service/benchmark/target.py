"""Who is measured: the path in this process with its own engine process, or a running service."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from guard_service.app import open_guard
from guard_service.benchmark.traffic import Answered, Ask
from guard_service.client import AsyncGuardClient, Message, Role, ToolCall
from guard_service.client import GuardError as CallFailed
from guard_service.client.environment import shown
from guard_service.config import Settings
from guard_service.conversation import Conversation
from guard_service.errors import Unavailable
from guard_service.pipeline import Check
from guard_service.policy import OnUnavailable

_TIMEOUT_S = 120.0  # a saturated queue is what is measured, not an error


@dataclass(frozen=True, slots=True)
class Target:
    ask: Ask
    device: str
    dtype: str
    load_s: float | None = None  # spawn to serving; None: it was running
    engine_pid: int | None = None


@asynccontextmanager
async def open_here(settings: Settings) -> AsyncIterator[Target]:
    """The path without a network; the model lives in its own process, as in production."""
    async with open_guard(settings) as guard:
        started = time.perf_counter()
        await guard.engine.start()
        load_s, loaded = time.perf_counter() - started, guard.engine.loaded
        assert loaded is not None, "This is a bug: an engine that started has loaded."

        async def ask(judged: Conversation) -> Answered:
            outcome = await guard.pipeline.moderate(
                Check(judged, on_unavailable=OnUnavailable.ERROR)
            )
            return _answered(outcome)

        pid = guard.engine.engines[0].pid
        yield Target(ask, loaded.device, loaded.dtype, load_s, pid)


@asynccontextmanager
async def open_running(address: str, **credentials: Any) -> AsyncIterator[Target]:
    """A service at HOST:PORT, asked over gRPC; without credentials with those around it."""
    shows = credentials or shown()
    async with AsyncGuardClient(address, timeout=_TIMEOUT_S, **shows) as client:
        server = await client.server_info()

        async def ask(judged: Conversation) -> Answered:
            try:
                return _answered(await client.moderate(messages_of(judged)))
            except CallFailed:
                raise Unavailable from None

        yield Target(ask, server.device, server.dtype)


def _answered(outcome: Any) -> Answered:
    """From an Outcome of the pipeline or a Moderation of the client: their fields are the same."""
    if outcome.verdict is None:
        raise Unavailable
    usage, timings = outcome.usage, outcome.timings
    return Answered(
        unsafe_score=outcome.verdict.unsafe_score,
        new_tokens=usage.prompt_tokens - usage.cached_tokens,
        prefix_tokens=usage.cached_tokens,
        pass_size=timings.batch_size,
    )


def messages_of(judged: Conversation) -> list[Message]:
    return [
        Message(
            Role(message.role.value),
            message.content,
            tuple(ToolCall(call.name, call.arguments_json) for call in message.tool_calls),
            message.name,
        )
        for message in judged.messages
    ]
