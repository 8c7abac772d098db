"""The engine process: loads a checkpoint, reads batches, ends when the front is gone.

Run as `python -m guard_service.engine.worker FD` by `process.py`, never by hand.
"""

import socket
import sys
import time
import traceback
from typing import BinaryIO

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from guard_service.engine.llama_guard import LlamaGuard
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
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.errors import CheckpointRefused
from guard_service.prompt import Prompt
from guard_service.verdict import Reading

# The engine cannot be trusted after this (a CUDA error leaves the context dead): start a new one.
EXIT_ENGINE_ERROR = 70


def main() -> None:
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection.makefile("rb"), connection.makefile("wb"))


def serve(incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Load once, then answer batches until the other end closes."""
    load = receive_blocking(incoming)
    if load is None:
        return
    try:
        guard, loaded = load_guard(load)
    except (CheckpointRefused, OSError, ValueError, RuntimeError) as error:
        _send(outgoing, LoadFailed(f"{load.folder}: {error}"))
        return
    _send(outgoing, loaded)
    held: dict[int, tuple[int, ...]] = {}
    while (batch := receive_blocking(incoming)) is not None:
        try:
            answer = _answer(guard, batch, held)
        except Exception as error:
            traceback.print_exc()
            _send(outgoing, BatchFailed(type(error).__name__))
            sys.exit(EXIT_ENGINE_ERROR)
        _send(outgoing, answer)


def load_guard(load: Load) -> tuple[LlamaGuard, Loaded]:
    """The model on its device; CheckpointRefused names a weight that is not a number."""
    if load.num_threads:
        torch.set_num_threads(load.num_threads)
    device = _device(load.device)
    # On a CPU float32 is exact and, for models that fit a CPU, fast enough; a GPU reads the
    # checkpoint's own type, bfloat16 for Llama Guard.
    name = ("float32" if device == "cpu" else "auto") if load.dtype == "auto" else load.dtype
    dtype = name if name == "auto" else getattr(torch, name)
    model = AutoModelForCausalLM.from_pretrained(
        load.folder,
        dtype=dtype,
        device_map={"": device},  # through accelerate: straight to the device, shard by shard
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        attn_implementation="sdpa",
    ).eval()
    _check_weights(model)
    guard = LlamaGuard(model, GuardTokenizer.from_folder(load.folder))
    return guard, Loaded(device, str(model.dtype).removeprefix("torch."))


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_weights(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise CheckpointRefused(f"weight {name} holds values that are not numbers")


def _answer(guard: LlamaGuard, batch: Batch, held: dict[int, tuple[int, ...]]) -> BatchRead:
    started = time.perf_counter()
    readings = _read(guard, _join(batch, held))
    return BatchRead(tuple(readings), (time.perf_counter() - started) * 1000)


def _join(batch: Batch, held: dict[int, tuple[int, ...]]) -> tuple[Prompt, ...]:
    """The prompts that this batch completes; the beginnings of others are held back."""
    for key in batch.forgotten:
        held.pop(key, None)
    prompts = []
    for piece in batch.pieces:
        ids = held.pop(piece.key, ()) + piece.ids
        if piece.is_last:
            prompts.append(Prompt(piece.prefix, ids, piece.list_above))
        else:
            held[piece.key] = ids
    return tuple(prompts)


def _read(guard: LlamaGuard, prompts: tuple[Prompt, ...]) -> list[Reading]:
    """Read a batch, in halves where the device has no memory for the whole."""
    try:
        return guard.read(prompts) if prompts else []
    except torch.OutOfMemoryError:
        if len(prompts) == 1:
            raise
        torch.cuda.empty_cache()
    middle = len(prompts) // 2
    return _read(guard, prompts[:middle]) + _read(guard, prompts[middle:])


def _send(outgoing: BinaryIO, message: object) -> None:
    outgoing.write(frame(message))
    outgoing.flush()


if __name__ == "__main__":
    main()
