"""Keeps an engine process running: known prompts first, then serving, and again after a death."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from guard_service.engine.message import Engine
from guard_service.errors import EngineUnavailable
from guard_service.supervision.watchdog import DEFAULT_PATIENCE, Patience, watch

log = logging.getLogger(__name__)

_MIN_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 30.0
_HEALTHY_AFTER_S = 60.0


StartEngine = Callable[[], Awaitable[Engine]]
CheckEngine = Callable[[Engine], Awaitable[None]]
OnServing = Callable[[bool], Awaitable[None]]


class Supervisor:
    """Starts engines with `start`, lets one serve once `check` passes, and starts the next."""

    def __init__(
        self,
        start: StartEngine,
        check: CheckEngine,
        on_serving: OnServing,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        self._start = start
        self._check = check
        self._on_serving = on_serving
        self._patience = patience
        self.engine: Engine | None = None  # that serves
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the first engine; raises why there is none (StartupRefused, EngineUnavailable)."""
        engine = await self._serve()
        self._watch = asyncio.create_task(self._keep_alive(engine))

    def start_again(self) -> None:
        """Keep trying, after a start that failed."""
        self._watch = asyncio.create_task(self._keep_alive(None))

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self.engine is not None:
            await self.engine.stop()
        self.engine = None

    async def _serve(self) -> Engine:
        try:
            async with asyncio.timeout(self._patience.start_s):
                engine = await self._start_checked()
        except TimeoutError:
            raise EngineUnavailable("the engine did not start in time") from None
        self.engine = engine
        log.info("engine is serving", extra={"action": "engine_serving", "pid": engine.pid})
        await self._on_serving(True)
        return engine

    async def _start_checked(self) -> Engine:
        engine = await self._start()
        try:
            await self._check(engine)
        except BaseException:
            await engine.stop()
            raise
        return engine

    async def _keep_alive(self, engine: Engine | None) -> None:
        backoff_s = _MIN_BACKOFF_S
        while True:
            if engine is not None:
                since = time.monotonic()
                code = await self._watch_until_dead(engine)
                self.engine = None
                await self._on_serving(False)
                log.error("engine died", extra={"action": "engine_died", "exit_code": code})
                if time.monotonic() - since > _HEALTHY_AFTER_S:
                    backoff_s = _MIN_BACKOFF_S
            engine, backoff_s = await self._restart(backoff_s)

    async def _watch_until_dead(self, engine: Engine) -> int:
        """Its exit code; a watchdog may have been what ended it."""
        watchdog = asyncio.create_task(watch(engine, self._patience, self._check))
        try:
            code = await engine.wait_dead()
            await engine.stop()  # or its socket stays open
            return code
        finally:
            watchdog.cancel()
            await asyncio.gather(watchdog, return_exceptions=True)

    async def _restart(self, backoff_s: float) -> tuple[Engine, float]:
        """The next engine that passes its check, however long it takes, and the next backoff."""
        while True:
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _MAX_BACKOFF_S)
            try:
                return await self._serve(), backoff_s
            except Exception as error:  # whatever it was, nobody else would try again
                extra = {"action": "engine_restart_failed", "error": type(error).__name__}
                log.error("engine did not come back", extra=extra)
