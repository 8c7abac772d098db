"""One supervised engine for each device: the service lives while one of them does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from guard_service.engine.message import Engine, Loaded
from guard_service.errors import EngineUnavailable, GuardError
from guard_service.supervision.supervisor import OnServing, Supervisor

log = logging.getLogger(__name__)

FindDevices = Callable[[], Awaitable[Sequence[str]]]
Supervise = Callable[[str, OnServing], Supervisor]


class EnginePool:
    def __init__(
        self, find_devices: FindDevices, supervise: Supervise, on_serving: OnServing
    ) -> None:
        self._find_devices = find_devices
        self._supervise = supervise
        self._on_serving = on_serving
        self._supervisors: list[Supervisor] = []
        self._starts: list[asyncio.Task[None]] = []
        self._rest: asyncio.Task[None] | None = None
        self._is_serving = False

    @property
    def engines(self) -> list[Engine]:
        """Those that serve now."""
        return [s.engine for s in self._supervisors if s.engine is not None]

    @property
    def loaded(self) -> Loaded | None:
        """What the engines run on; None while there is none."""
        return next((engine.loaded for engine in self.engines), None)

    async def start(self) -> None:
        """Start one engine on each device and return once one serves; raises if none will."""
        devices = await self._find_devices()
        self._supervisors = [self._supervise(device, self._report) for device in devices]
        self._starts = [asyncio.create_task(s.start()) for s in self._supervisors]
        failures: list[Exception] = []
        for starting in asyncio.as_completed(self._starts):
            try:
                await starting
                break
            except (GuardError, OSError) as error:
                failures.append(error)
        else:
            raise failures[0] if failures else EngineUnavailable("there is no device")
        self._rest = asyncio.create_task(self._retry_failed())

    async def stop(self) -> None:
        tasks = [*self._starts, *([self._rest] if self._rest else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))

    async def _retry_failed(self) -> None:
        """A device that failed at first is tried again while the others serve."""
        outcomes = await asyncio.gather(*self._starts, return_exceptions=True)
        for supervisor, outcome in zip(self._supervisors, outcomes, strict=True):
            if outcome is not None:
                extra = {"action": "engine_start_failed", "error": type(outcome).__name__}
                log.error("an engine did not start", extra=extra)
                supervisor.start_again()

    async def _report(self, _: bool) -> None:
        is_serving = bool(self.engines)
        if is_serving != self._is_serving:
            self._is_serving = is_serving
            await self._on_serving(is_serving)
