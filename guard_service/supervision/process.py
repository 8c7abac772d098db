"""One engine process: spawned, spoken to over a socket, gone when the socket closes."""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from guard_service.engine.message import (
    Batch,
    BatchFailed,
    BatchRead,
    Load,
    Loaded,
    LoadFailed,
    frame,
    receive,
)
from guard_service.errors import CheckpointRefused, EngineUnavailable
from guard_service.supervision.watchdog import within

# Activations of a large pass are tens of megabytes, in every layer again. Unless the allocator
# keeps its memory, a CPU spends a tenth of the time on pages that are taken back and cleared anew.
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
}
# Threads that wait by spinning take the cores that the front, or another engine, needs meanwhile.
SLEEP = {"OMP_WAIT_POLICY": "passive"}
# Beside a large model the front needs little: its threads spin a moment from one product to the
# next and do not wake too late for each. A CPU reads 8 % more by it.
SPIN = {"GOMP_SPINCOUNT": "4000"}
LARGE_BYTES = 1 << 30

WORKER = (sys.executable, "-m", "guard_service.engine.worker")


class EngineProcess:
    """A running engine. Batches may be under way at once; it reads them in order."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        loaded: Loaded,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()  # first come, first answered, as the engine does
        self.loaded = loaded

    @classmethod
    async def start(cls, load: Load, command: Sequence[str] | None = None) -> "EngineProcess":
        """Spawn (never fork: torch and gRPC do not survive it) and wait for the model to load."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        environment = environment_of(load.folder)
        spawning = asyncio.create_task(_spawn(theirs, command or WORKER, environment))
        try:
            process = await asyncio.shield(spawning)  # cancelled half-way it would be lost
            loaded = await _load(reader, writer, load)
        except BaseException:
            writer.close()
            await _reap(await spawning, grace_s=0)
            raise
        return cls(process, reader, writer, loaded)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def read(self, batch: Batch) -> BatchRead:
        """Read a batch; EngineUnavailable if the process fails or dies meanwhile."""
        self._writer.write(frame(batch))
        async with self._turn:
            answer = await _receive(self._reader, self._writer)
        if isinstance(answer, BatchFailed):
            raise EngineUnavailable(f"the engine failed: {answer.problem}")
        if not isinstance(answer, BatchRead):
            self.kill()
            raise EngineUnavailable("the engine answered out of turn")
        return answer

    async def ping(self, limit_s: float) -> int:
        """Bytes of memory it holds; TimeoutError if silent so long although all is answered."""
        self._writer.write(frame(Batch((), is_alone=True)))
        async with self._turn:
            answer = await within(limit_s, _receive(self._reader, self._writer))
        return answer.num_bytes if isinstance(answer, BatchRead) else 0

    async def wait_dead(self) -> int:
        """Wait until the process has ended; its exit code."""
        return await self._process.wait()

    def kill(self) -> None:
        """SIGKILL: one that hangs would not heed less."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        self._writer.close()
        await _reap(self._process)


def environment_of(folder: Path) -> dict[str, str]:
    """Of an engine process for the model there; what this process was given goes first."""
    num_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return ALLOCATOR | (SPIN if num_bytes > LARGE_BYTES else SLEEP) | os.environ


async def _spawn(
    theirs: socket.socket, command: Sequence[str], environment: dict[str, str]
) -> asyncio.subprocess.Process:
    descriptor = theirs.fileno()
    with theirs:
        return await asyncio.create_subprocess_exec(
            *(*command, str(descriptor)),
            env=environment,
            pass_fds=(descriptor,),
            start_new_session=True,  # Ctrl-C is for the front, which then drains the engine
        )


async def _load(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: Load) -> Loaded:
    writer.write(frame(load))
    answer = await _receive(reader, writer)
    if isinstance(answer, LoadFailed):
        raise CheckpointRefused(answer.problem)
    if not isinstance(answer, Loaded):
        raise EngineUnavailable("the engine answered out of turn")
    return answer


async def _receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> object:
    try:
        await writer.drain()
        return await receive(reader)
    except (asyncio.IncompleteReadError, OSError):
        raise EngineUnavailable("the engine process died") from None
    except Exception:  # what unpickling garbage raises is the garbage's to choose
        return None


async def _reap(process: asyncio.subprocess.Process, grace_s: float = 5.0) -> None:
    """The engine ends by itself once the socket is closed; one that does not is killed."""
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        process.kill()
        await process.wait()
