"""Says what would stop this machine from serving a model, before anybody waits for it.

Every check gives one finding and changes nothing.
"""

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib.util import find_spec
from typing import Any

from safetensors import safe_open

from guard_service.access.access import Access
from guard_service.config import Settings
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.errors import StartupRefused
from guard_service.review.database import database_problem
from guard_service.startup import load_policies, window_tokens
from guard_service.supervision.machine import Gpu, Machine, look
from guard_service.weights.checkpoint import Checkpoint, find_checkpoint

_MIN_TORCH = (2, 11)
_PULL = "guard pull llama-guard-3-8b fetches the model: name its folder as --model"
_GIB = 2**30
_LARGE_BYTES = 2 * _GIB  # of weights: from here a CPU takes seconds a check
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "float32": 4, "float16": 2, "bfloat16": 2}
_BYTES |= {"fp8": 2, "int8": 4}  # as they are loaded, before they are narrowed
_PREFIX_TOKENS = 200  # of a policy with a few categories of its own
_FIXED_BYTES = _GIB  # logits, the CUDA context, fragmentation


class Level(Enum):
    OK = "ok"
    WARN = "warn"  # it will serve, but read this
    FAIL = "fail"  # it will not serve


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    name: str
    detail: str
    advice: str = ""  # what to do; empty where all is well


_ok = partial(Finding, Level.OK)
_warn = partial(Finding, Level.WARN)
_fail = partial(Finding, Level.FAIL)


def examine(settings: Settings, machine: Machine | None = None) -> list[Finding]:
    """What was found, in the order in which a server would meet it."""
    machine = machine or look()
    device = _check_device(settings, machine)
    model = _guarded("model", partial(_check_model, settings))
    findings = [_check_torch(machine), device, model]
    if model.level is not Level.FAIL:
        findings.append(_guarded("policies", partial(_check_policies, settings)))
        if device.level is not Level.FAIL:
            findings.append(_guarded("memory", partial(_check_memory, settings, machine)))
    findings += [_guarded("access", partial(_check_access, settings))]
    return [*findings, _check_database(settings), _check_ports(settings)]


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """A doctor does not die of what the patient has."""
    try:
        return check()
    except StartupRefused as error:
        return _fail(name, str(error), _PULL if name == "model" else "")
    except Exception as error:  # damaged files: what the libraries raise is theirs to choose
        return _fail(name, f"{type(error).__name__}: {error}", "the files are damaged: pull again")


def _check_torch(machine: Machine) -> Finding:
    numbers = tuple(map(int, re.findall(r"\d+", machine.torch)[:2]))
    if machine.error or numbers < _MIN_TORCH:
        install = "pip install --upgrade 'guard-service[serve]'"
        return _fail("torch", machine.error or f"{machine.torch}: too old", install)
    return _ok("torch", machine.torch)


def _check_device(settings: Settings, machine: Machine) -> Finding:
    gpus = _gpus(settings, machine)
    if None in gpus:
        detail = f"{settings.devices}: torch {machine.torch} sees {len(machine.gpus)} GPUs"
        advice = "a torch for CPUs sees none (pytorch.org); else nvidia-smi, CUDA_VISIBLE_DEVICES"
        return _fail("device", detail, advice)
    return _ok("device", ", ".join(gpu.name for gpu in gpus if gpu) or "CPU")


def _gpus(settings: Settings, machine: Machine) -> list[Gpu | None]:
    """The GPUs that engines would take, None for one that is not there; empty: the CPU."""
    if settings.devices in ("auto", "cpu"):
        return list(machine.gpus) if settings.devices == "auto" else []
    numbers = [int(device.partition(":")[2] or 0) for device in settings.devices.split(",")]
    return [machine.gpus[n] if n < len(machine.gpus) else None for n in numbers]


def _gpu(settings: Settings, machine: Machine) -> Gpu | None:
    """The GPU with the least room; None: the CPU."""
    gpus = [gpu for gpu in _gpus(settings, machine) if gpu]
    return min(gpus, key=lambda gpu: gpu.free_bytes, default=None)


def _check_model(settings: Settings) -> Finding:
    checkpoint = find_checkpoint(settings.model)
    if "quantization_config" in _config(checkpoint) and find_spec("bitsandbytes") is None:
        return _fail("model", f"{checkpoint.name} is quantized", "pip install bitsandbytes")
    if checkpoint.is_development:
        return _warn("model", f"{checkpoint.name}: a development default, not to rely on", _PULL)
    return _ok("model", f"{checkpoint.name} in {checkpoint.folder}")


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((checkpoint.folder / "config.json").read_text("utf-8"))
    return config


def _check_policies(settings: Settings) -> Finding:
    """That the tokenizer has the answer's tokens, and the model can read every policy."""
    checkpoint, policies = find_checkpoint(settings.model), load_policies(settings)
    window = window_tokens(settings, checkpoint)
    tokenizer = GuardTokenizer.from_folder(checkpoint.folder, window)
    for policy in policies.values():
        tokenizer.check_policy(policy)
    return _ok("policies", f"{', '.join(policies)}; windows of {window} tokens")


def _check_access(settings: Settings) -> Finding:
    access = Access(settings)
    access.check_policies(load_policies(settings))
    if access.is_open:
        return _ok("access", f"callers on {settings.host} are not asked who they are")
    return _ok("access", "asks who calls" if access.tls else "asks who calls, without TLS")


def _check_memory(settings: Settings, machine: Machine) -> Finding:
    checkpoint, gpu = find_checkpoint(settings.model), _gpu(settings, machine)
    free, place = (gpu.free_bytes, gpu.name) if gpu else (machine.ram_bytes, "the CPU")
    stored, size = _sizes(settings, checkpoint, gpu)
    weights = checkpoint.num_bytes * size // stored
    workspace = _workspace(settings, checkpoint, size)
    detail = (
        f"{weights / _GIB:.1f} GiB of weights and about {workspace / _GIB:.1f} GiB to work, "
        f"{free / _GIB:.1f} GiB free on {place}"
    )
    if weights > free:
        return _fail("memory", detail, "the weights do not fit: free memory or use a larger device")
    if weights + workspace > free:
        return _warn("memory", detail, "full batches may not fit: lower GUARD_MAX_BATCH_TOKENS")
    if gpu is None and weights > _LARGE_BYTES:
        return _warn("memory", detail, "a model of this size takes seconds a check on a CPU")
    return _ok("memory", detail)


def _sizes(settings: Settings, checkpoint: Checkpoint, gpu: Gpu | None) -> tuple[int, int]:
    """Bytes of one weight in the files, and on the device (see `load_guard` in the worker)."""
    path = next(checkpoint.folder.glob("*.safetensors"))
    with safe_open(path, framework="numpy") as file:
        kind = file.get_slice(next(iter(file.keys()))).get_dtype()
    stored = _BYTES.get(kind, 2)  # quantized weights are computed with in half precision
    if settings.dtype == "auto":
        return stored, stored if gpu else _BYTES["float32"]
    return stored, _BYTES[settings.dtype]


def _workspace(settings: Settings, checkpoint: Checkpoint, size: int) -> int:
    """An estimate for a full micro-batch: all keys and values, one layer's activations."""
    config = _config(checkpoint)
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head_width = config.get("head_dim") or width // heads
    heads = config.get("num_key_value_heads") or heads
    keys_values = config["num_hidden_layers"] * 2 * head_width * heads
    activations = 3 * config["intermediate_size"] + 8 * width
    # The beginning of a window that goes in pieces is held until its end.
    num_pass = max(settings.max_batch_tokens, settings.max_bulk_batch_tokens)
    num_tokens = max(num_pass, window_tokens(settings, checkpoint))
    num_prefix = settings.max_batch_requests * _PREFIX_TOKENS  # each prompt has a copy of it
    numbers = num_tokens * (keys_values + activations) + num_prefix * keys_values
    return int(numbers * size) + _FIXED_BYTES


def _check_database(settings: Settings) -> Finding:
    problem = database_problem(settings.database_url)
    if problem is not None:
        return _fail("database", problem, "mend it, or change GUARD_DATABASE_URL")
    if settings.database_url.startswith("postgresql") and not settings.review_keys_url:
        problem = "the keys of kept texts are in the database of the texts: so is every backup"
        return _warn("database", problem, "set GUARD_REVIEW_KEYS_URL, so that erased is erased")
    return _ok("database", "review items can be written")


def _check_ports(settings: Settings) -> Finding:
    for name in ("port", "metrics_port"):
        if (port := getattr(settings, name)) != "off" and (problem := _taken(settings.host, port)):
            advice = f"is guard serve running already? else change GUARD_{name.upper()}"
            return _fail("port", f"{settings.host}:{port}: {problem}", advice)
    return _ok("port", f"{settings.host}:{settings.port} is free, and so is that for metrics")


def _taken(host: str, port: int) -> str | None:
    """Why nobody can listen there, or None."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            # A port that was left a moment ago is free; without SO_REUSEPORT one in use is not.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return error.strerror
    return None
