"""Puts the rooms together: who is built from which settings, and in what order they end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from guard_service.access.access import Access
from guard_service.api.admission import Door
from guard_service.api.moderation import ModerationService
from guard_service.api.reply import ServerInfo
from guard_service.api.review import reviewing
from guard_service.api.server import GuardServer
from guard_service.batching.batcher import Batcher
from guard_service.batching.reuse import Reuse
from guard_service.config import Settings
from guard_service.engine.message import Engine, Load
from guard_service.limits import batch_limits, conversation_limits, patience
from guard_service.pipeline import Pipeline
from guard_service.publication import Publication, publishing
from guard_service.quota.meter import Meter, open_limiter
from guard_service.reload import Reloader
from guard_service.review.sink.choice import open_sinks
from guard_service.shadow import shadow_in
from guard_service.sight.endpoint import Endpoint
from guard_service.sight.gauges import Sources
from guard_service.sight.logs import report_loop_error
from guard_service.sight.observed import ObservedFeed, ObservedReader, observed
from guard_service.sight.spans import tracing
from guard_service.stall import LoopWatch
from guard_service.startup import Prepared, Refusals, prepare
from guard_service.stop import on_hangup, stop_signal, until_stopped
from guard_service.supervision.canary import check_canaries
from guard_service.supervision.machine import find_devices
from guard_service.supervision.pool import EnginePool
from guard_service.supervision.process import EngineProcess
from guard_service.supervision.supervisor import OnServing, Supervisor
from guard_service.web.server import ConsoleServer

log = logging.getLogger(__name__)

_DEVELOPMENT_NOTICE = "guard-tiny is a development default, not Llama Guard 3: do not rely on it"
_LOST = "This is a bug: a refusal was lost."
_OPEN_NOTICE = "callers are not asked who they are: set access_file or jwks before others call"


@dataclass(frozen=True, slots=True)
class Guard:
    """A pipeline and the engine behind it, which is still to be started."""

    pipeline: Pipeline
    engine: EnginePool
    prepared: Prepared
    digest: "asyncio.Task[str]"  # of the model's files, once they are read and found right
    batcher: Batcher


async def _ignore(_: bool) -> None:
    pass


@asynccontextmanager
async def open_guard(
    settings: Settings,
    on_serving: OnServing = _ignore,
    refusals: Refusals | None = None,
    access: Access | None = None,
) -> AsyncIterator[Guard]:
    """Everything between the doors and the model; StartupRefused if it cannot work together."""
    prepared = await asyncio.to_thread(prepare, settings, refusals or Refusals(), access)
    if prepared.checkpoint.is_development:
        log.warning(_DEVELOPMENT_NOTICE, extra={"action": "development_model"})
    store = prepared.store
    digest = asyncio.create_task(asyncio.to_thread(prepared.checkpoint.verify))
    engine = _pool(settings, prepared, digest, on_serving)
    reuse = Reuse(settings.reading_cache_mb * 2**20, settings.min_label_mass)
    batcher = Batcher(lambda: engine.engines, batch_limits(settings), reuse, patience(settings))
    shadow = shadow_in(prepared.shadow, store)
    try:
        await store.start()
        batcher.start()
        pipeline = _pipeline(settings, prepared, batcher, digest)
        pipeline = replace(pipeline, on_verdict=shadow.see)
        async with shadow.keeping():
            yield Guard(pipeline, engine, prepared, digest, batcher)
    finally:
        await batcher.stop()
        await engine.stop()
        await store.stop()
        await asyncio.gather(digest, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Listening:
    """A server whose port is open; the engine behind it is still to be started."""

    server: GuardServer
    engine: EnginePool
    prepared: Prepared
    metrics_port: int | None
    console_port: int | None
    access: Access

    @property
    def port(self) -> int:
        return self.server.port


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[Listening]:
    """The service on its port, then its orderly end.

    The port is open before the model is loaded: until then health says NOT_SERVING and calls are
    answered UNAVAILABLE, which clients retry.
    """
    address, refusals = f"{settings.host}:{settings.port}", Refusals()
    access = refusals.attempt(lambda: Access(settings))
    server = access and refusals.attempt(
        lambda: GuardServer(address, conversation_limits(settings), access)
    )
    endpoint = refusals.attempt(lambda: Endpoint(settings.host, settings.metrics_port))
    console = refusals.attempt(lambda: ConsoleServer(settings))
    on_serving = server.set_serving if server else _ignore
    limiter = refusals.attempt(lambda: open_limiter(settings))
    sinks = refusals.attempt(lambda: open_sinks(settings))
    async with open_guard(settings, on_serving, refusals, access) as guard:
        assert server and endpoint and console and access and limiter and sinks is not None, _LOST
        info = partial(_server_info, guard, settings)
        enter = guard.batcher.entrance.enter
        door = Door(settings.max_concurrent_requests, settings.max_concurrent_bytes, enter)
        meter, store = Meter(limiter, access.quota_of), guard.prepared.store
        moderating = ModerationService(guard.pipeline, door, meter, info, settings.max_request_s)
        async with publishing(settings, store, sinks) as publication:
            await server.start(moderating, reviewing(store, publication.feed, settings))
            pages = console.serving(store, guard.prepared.policies)
            async with endpoint.serving(_sources(server, guard, publication)), pages:
                ports = endpoint.port, console.port
                try:
                    yield Listening(server, guard.engine, guard.prepared, *ports, access)
                finally:
                    await server.stop(settings.lame_duck_s, settings.drain_s)
                    await limiter.close()


async def serve(settings: Settings, read: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; SIGHUP takes over what `read` then gives."""
    stopping, loop = stop_signal(), asyncio.get_running_loop()
    on_hangup(lambda: None)  # until there is something to read again
    loop.set_exception_handler(report_loop_error)
    with LoopWatch(loop, settings.max_stall_s), tracing():
        await _serve(settings, read, stopping)


async def _serve(settings: Settings, read: Callable[[], Settings], stopping: asyncio.Event) -> None:
    async with open_server(settings) as listening:
        prepared, access = listening.prepared, listening.access
        reloader = Reloader(settings, read, prepared.policies, prepared.tokenizer, access)
        on_hangup(reloader.reload)
        where = {"host": settings.host, "port": listening.port, "model": settings.model}
        where["metrics_port"] = listening.metrics_port or "off"
        where["console_port"] = listening.console_port or "off"
        log.info("listening", extra={"action": "listening", **where})
        if access.is_open:
            log.warning(_OPEN_NOTICE, extra={"action": "open_to_anyone", "host": settings.host})
        await until_stopped(stopping, listening.engine.start())
        log.info("draining", extra={"action": "draining"})


def _pipeline(
    settings: Settings, prepared: Prepared, batcher: Batcher, digest: "asyncio.Task[str]"
) -> Pipeline:
    return Pipeline(
        tokenizer=prepared.tokenizer,
        reader=ObservedReader(batcher),
        feed=ObservedFeed(prepared.store),
        policies=prepared.policies,
        default_policy=settings.default_policy,
        limits=conversation_limits(settings),
        model=prepared.checkpoint.name,
        min_label_mass=settings.min_label_mass,
        model_digest=lambda: digest.result() if digest.done() else "",
    )


def _pool(
    settings: Settings,
    prepared: Prepared,
    digest: "asyncio.Task[str]",
    on_serving: OnServing,
) -> EnginePool:
    checkpoint = prepared.checkpoint

    async def devices() -> Sequence[str]:
        await asyncio.shield(digest)  # nothing of the files is loaded before they are found right
        return await asyncio.to_thread(find_devices, settings.devices)

    async def check(engine: Engine) -> None:
        if settings.check_canary:
            policy = prepared.policies[settings.default_policy]
            await check_canaries(
                engine, prepared.tokenizer, checkpoint, policy, settings.min_label_mass
            )

    def supervise(device: str, report: OnServing) -> Supervisor:
        load = Load(checkpoint.folder, device, settings.dtype, settings.num_threads)
        start = observed(partial(EngineProcess.start, load), settings.max_batch_tokens)
        return Supervisor(start, check, report, patience(settings))

    return EnginePool(devices, supervise, on_serving)


def _sources(server: GuardServer, guard: Guard, publication: Publication) -> Sources:
    return Sources(
        lambda: server.is_serving,
        lambda: len(guard.engine.engines),
        guard.batcher.lanes,
        guard.prepared.store,
        publication.relays,
    )


def _server_info(guard: Guard, settings: Settings) -> ServerInfo:
    """What is known by now: device and digest are empty until the model is loaded and hashed."""
    loaded, checkpoint, digest = guard.engine.loaded, guard.prepared.checkpoint, guard.digest
    return ServerInfo(
        model=checkpoint.name,
        model_digest=digest.result() if digest.done() else "",
        device=loaded.device if loaded else "",
        dtype=loaded.dtype if loaded else "",
        is_development=checkpoint.is_development,
        limits=guard.pipeline.limits,
        max_window_tokens=guard.prepared.max_window_tokens,
        max_concurrent_requests=settings.max_concurrent_requests,
    )
