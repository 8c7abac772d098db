"""Puts the rooms together: who is built from which settings, and in what order they end."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from guard_service.api.admission import Door
from guard_service.api.moderation import ModerationService
from guard_service.api.reply import ServerInfo
from guard_service.api.review import ReviewService
from guard_service.api.server import GuardServer
from guard_service.config import Settings
from guard_service.conversation import Limits
from guard_service.engine.batcher import Batcher
from guard_service.engine.canary import check_canaries
from guard_service.engine.checkpoint import Checkpoint, find_checkpoint
from guard_service.engine.machine import find_devices
from guard_service.engine.message import Engine, Load
from guard_service.engine.pool import EnginePool
from guard_service.engine.process import EngineProcess
from guard_service.engine.reuse import Reuse
from guard_service.engine.scheduler import BatchLimits
from guard_service.engine.supervisor import OnServing, Supervisor
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.errors import SettingsInvalid
from guard_service.pipeline import Pipeline
from guard_service.policy import Policy, read_policies
from guard_service.review.store import ReviewStore

log = logging.getLogger(__name__)

_EMBEDDED_POLICIES = Path(__file__).parent / "policies"

_DEVELOPMENT_NOTICE = "guard-tiny is a development default, not Llama Guard 3: do not rely on it"


@dataclass(frozen=True, slots=True)
class Guard:
    """A pipeline and the engine behind it, which is still to be started."""

    pipeline: Pipeline
    store: ReviewStore
    engine: EnginePool
    checkpoint: Checkpoint
    max_window_tokens: int


async def _ignore(_: bool) -> None:
    pass


@asynccontextmanager
async def open_guard(settings: Settings, on_serving: OnServing = _ignore) -> AsyncIterator[Guard]:
    """Everything between the doors and the model; StartupRefused if it cannot work together."""
    checkpoint = find_checkpoint(settings.model)
    if checkpoint.is_development:
        log.warning(_DEVELOPMENT_NOTICE, extra={"action": "development_model"})
    policies = load_policies(settings)
    window = window_tokens(settings, checkpoint)
    tokenizer = GuardTokenizer.from_folder(checkpoint.folder, window)
    for policy in policies.values():
        tokenizer.check_policy(policy)
    store = ReviewStore(settings.database_url)
    engine = _pool(settings, checkpoint, tokenizer, policies, on_serving)
    reuse = Reuse(settings.reading_cache_mb * 2**20, settings.min_label_mass)
    batcher = Batcher(lambda: engine.engines, _batch_limits(settings), reuse)
    pipeline = Pipeline(
        tokenizer=tokenizer,
        reader=batcher,
        feed=store,
        policies=policies,
        default_policy=settings.default_policy,
        limits=limits(settings),
        model=checkpoint.name,
        min_label_mass=settings.min_label_mass,
    )
    try:
        await store.start()
        batcher.start()
        yield Guard(pipeline, store, engine, checkpoint, window)
    finally:
        await batcher.stop()
        await engine.stop()
        await store.stop()


@dataclass(frozen=True, slots=True)
class Listening:
    """A server whose port is open; the engine behind it is still to be started."""

    server: GuardServer
    engine: EnginePool

    @property
    def port(self) -> int:
        return self.server.port


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[Listening]:
    """The service on its port, then its orderly end.

    The port is open before the model is loaded: until then health says NOT_SERVING and calls are
    answered UNAVAILABLE, which clients retry.
    """
    server = GuardServer(f"{settings.host}:{settings.port}", limits(settings))
    async with open_guard(settings, server.set_serving) as guard:
        digest = asyncio.create_task(asyncio.to_thread(guard.checkpoint.digest))
        info = partial(_server_info, guard, settings, digest)
        door = Door(settings.max_concurrent_requests)
        moderating = ModerationService(guard.pipeline, door, info)
        await server.start(moderating, ReviewService(guard.store))
        try:
            yield Listening(server, guard.engine)
        finally:
            await server.stop(settings.lame_duck_s, settings.drain_s)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once."""
    stopping = _stop_signal()
    async with open_server(settings) as listening:
        where = {"host": settings.host, "port": listening.port, "model": settings.model}
        log.info("listening", extra={"action": "listening", **where})
        await _until(stopping, listening.engine)
        log.info("draining", extra={"action": "draining"})


async def _until(stopping: asyncio.Event, engine: EnginePool) -> None:
    """Start the engine and wait for the signal, which may come before the engine is up."""
    starting = asyncio.create_task(engine.start())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not stop.done():
            await starting
            await stop
    finally:
        for task in (starting, stop):
            task.cancel()
        await asyncio.gather(starting, stop, return_exceptions=True)


def load_policies(settings: Settings) -> dict[str, Policy]:
    policies = read_policies(settings.policies or _EMBEDDED_POLICIES)
    if settings.default_policy not in policies:
        raise SettingsInvalid(f"default_policy: no policy {settings.default_policy}")
    return policies


def window_tokens(settings: Settings, checkpoint: Checkpoint) -> int:
    return min(settings.max_window_tokens or checkpoint.context, checkpoint.context)


def limits(settings: Settings) -> Limits:
    return Limits(settings.max_messages, settings.max_conversation_bytes)


def _batch_limits(settings: Settings) -> BatchLimits:
    return BatchLimits(
        settings.max_batch_tokens,
        settings.max_bulk_batch_tokens,
        settings.max_batch_requests,
        settings.max_wait_ms,
    )


def _pool(
    settings: Settings,
    checkpoint: Checkpoint,
    tokenizer: GuardTokenizer,
    policies: dict[str, Policy],
    on_serving: OnServing,
) -> EnginePool:
    async def devices() -> Sequence[str]:
        return await asyncio.to_thread(find_devices, settings.devices)

    async def check(engine: Engine) -> None:
        if settings.check_canary:
            policy = policies[settings.default_policy]
            await check_canaries(engine, tokenizer, checkpoint, policy, settings.min_label_mass)

    def supervise(device: str, report: OnServing) -> Supervisor:
        load = Load(checkpoint.folder, device, settings.dtype, settings.num_threads)
        return Supervisor(partial(EngineProcess.start, load), check, report)

    return EnginePool(devices, supervise, on_serving)


def _server_info(guard: Guard, settings: Settings, digest: "asyncio.Task[str]") -> ServerInfo:
    """What is known by now: device and digest are empty until the model is loaded and hashed."""
    loaded = guard.engine.loaded
    return ServerInfo(
        model=guard.checkpoint.name,
        model_digest=digest.result() if digest.done() else "",
        device=loaded.device if loaded else "",
        dtype=loaded.dtype if loaded else "",
        is_development=guard.checkpoint.is_development,
        limits=guard.pipeline.limits,
        max_window_tokens=guard.max_window_tokens,
        max_concurrent_requests=settings.max_concurrent_requests,
    )


def _stop_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the next finds the default handler and ends at once."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopping
