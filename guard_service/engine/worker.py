"""The engine process: loads a checkpoint, reads batches, ends when the front is gone.

Run as `python -m guard_service.engine.worker FD` by `process.py`, never by hand.
"""

import resource
import select
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.kernels import COMPUTED_IN, find_kernels
from guard_service.engine.listing import Read
from guard_service.engine.llama_guard import LlamaGuard, Submitted
from guard_service.engine.message import (
    Batch,
    BatchFailed,
    BatchRead,
    Load,
    Loaded,
    LoadFailed,
    frame,
    receive_blocking,
)
from guard_service.errors import CheckpointRefused
from guard_service.verdict import Reading

# The engine cannot be trusted after this (a CUDA error leaves the context dead): start a new one.
EXIT_ENGINE_ERROR = 70


@dataclass(frozen=True, slots=True)
class Pass:
    """A batch under way: one submission, or several where the device had no memory for it whole."""

    batch: Batch
    parts: tuple[Submitted, ...]
    started: float


def main() -> None:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)


def serve(connection: socket.socket) -> None:
    """Load once, then answer batches until the other end closes."""
    load = receive_blocking(connection)
    if load is None:
        return
    try:
        guard, loaded = load_guard(load)
    except (CheckpointRefused, OSError, ValueError, RuntimeError) as error:
        connection.sendall(frame(LoadFailed(f"{load.folder}: {error}")))
        return
    connection.sendall(frame(loaded))
    try:
        read_batches(connection, guard, max_under_way=2 if loaded.device.startswith("cuda") else 1)
    except Exception as error:
        traceback.print_exc()
        connection.sendall(frame(BatchFailed(type(error).__name__)))
        sys.exit(EXIT_ENGINE_ERROR)


def read_batches(connection: socket.socket, guard: LlamaGuard, max_under_way: int) -> None:
    """Answer in order; with two under way the device starts on one while the other is collected."""
    under_way, ahead = deque[Pass](), deque[Batch]()
    owed: dict[int, None] = {}  # keys in the order in which they were asked
    while True:
        if not ahead and (not under_way or _is_readable(connection)):
            batch = receive_blocking(connection)
            if batch is None:
                return
            ahead.append(batch)
        if ahead and len(under_way) < max_under_way:
            batch, started = ahead.popleft(), time.perf_counter()
            owed |= dict.fromkeys(piece.key for piece in batch.pieces if piece.is_last)
            under_way.append(Pass(batch, submit(guard, batch), started))
        else:
            first = under_way.popleft()
            following = [*(later.batch for later in under_way), *ahead][:1]
            is_followed = not any(batch.is_alone for batch in (first.batch, *following))
            read = dict(_collect(guard, first, is_followed and bool(following)))
            keys = tuple(key for key in owed if key in read)
            for key in keys:
                del owed[key]
            connection.sendall(frame(_answer(first, keys, [read[key] for key in keys])))


def load_guard(load: Load) -> tuple[LlamaGuard, Loaded]:
    """The model on its device; CheckpointRefused names a weight that is not a number."""
    started = time.perf_counter()
    if load.num_threads:
        torch.set_num_threads(load.num_threads)
    device = _use_device(load.device)
    name = COMPUTED_IN.get(load.dtype, load.dtype)
    # On a CPU float32 is exact and, for models that fit a CPU, fast enough; a GPU reads the
    # checkpoint's own type, bfloat16 for Llama Guard.
    name = "float32" if name == "auto" and device == "cpu" else name
    model = AutoModelForCausalLM.from_pretrained(
        load.folder,
        dtype=name if name == "auto" else getattr(torch, name),
        device_map={"": device},  # through accelerate: straight to the device, shard by shard
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
    ).eval()
    _check_weights(model)
    num_bytes = sum(weight.nbytes for weight in model.parameters())
    dtype = load.dtype if load.dtype in COMPUTED_IN else str(model.dtype).removeprefix("torch.")
    kernels = find_kernels(load.dtype, model)
    guard = LlamaGuard(model, kernels, GuardTokenizer.from_folder(load.folder))
    load_ms = (time.perf_counter() - started) * 1000
    return guard, Loaded(device, dtype, load_ms, num_bytes, _peak_bytes(guard.llama.device))


def submit(guard: LlamaGuard, batch: Batch) -> tuple[Submitted, ...]:
    """Launch a batch, in halves where the device has no memory for the whole."""
    if not batch.pieces:  # a heartbeat
        return ()
    try:
        return (guard.submit(batch),)
    except torch.OutOfMemoryError:
        if len(batch.pieces) == 1:
            raise
        torch.cuda.empty_cache()
    middle = len(batch.pieces) // 2
    halves = Batch(batch.pieces[:middle]), Batch(batch.pieces[middle:], batch.forgotten)
    return tuple(part for half in halves for part in submit(guard, half))


def _collect(guard: LlamaGuard, done: Pass, is_followed: bool) -> list[Read]:
    """Lists that are not finished yet are left to the next pass where one follows."""
    read = list[Read]()
    for number, part in enumerate(done.parts, 1):
        read += guard.collect(part, is_followed or number < len(done.parts))
    return read


def _answer(done: Pass, keys: tuple[int, ...], readings: Sequence[Reading]) -> BatchRead:
    num_bytes = 0 if done.batch.pieces else _held_bytes()
    took_ms = (time.perf_counter() - done.started) * 1000
    return BatchRead(keys, tuple(readings), took_ms, num_bytes)


def _is_readable(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def _use_device(name: str) -> str:
    """The device by name, made the current one: streams, events and graphs are of that one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.set_device(torch.device(name).index or 0)
    return name


def _check_weights(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise CheckpointRefused(f"weight {name} holds values that are not numbers")


def _held_bytes() -> int:
    """Of the GPU's memory where this process uses one, else of the machine's."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return sum(map(torch.cuda.memory_reserved, range(torch.cuda.device_count())))
    return int(psutil.Process().memory_info().rss)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
