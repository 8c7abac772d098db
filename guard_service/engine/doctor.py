"""Says what would stop this machine from serving a model, before anybody waits for it.

Every check gives one finding and changes nothing. Knows no SQL and imports no torch: the machine is
handed in, or looked at from another process.
"""

import json
import platform
import re
from collections.abc import Callable
from pathlib import Path

from guard_service.config import Settings
from guard_service.engine.checkpoint import Checkpoint, find_checkpoint
from guard_service.engine.finding import Finding, Level, fail, ok, warn
from guard_service.engine.footprint import Footprint, measure, stored_dtype
from guard_service.engine.machine import Gpu, Machine, look
from guard_service.engine.surroundings import check_database, check_disk, check_port, check_sqlite
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.errors import SettingsInvalid, StartupRefused
from guard_service.policy import read_policies

__all__ = ["Finding", "Level", "examine"]

_NEEDED = {"torch": (2, 11), "transformers": (5, 0), "accelerate": (1, 10)}
_INSTALL = "pip install --upgrade 'guard-service[serve]'"
_MIN_PYTHON = (3, 11)
_POLICIES = Path(__file__).parent.parent / "policies"
# Without these a CPU converts to float32 and back around every operation.
_CPU_FLAGS = {
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16"},
    "float16": {"avx512_fp16", "amx_fp16", "fphp"},
}
_LARGE_BYTES = 2 * 2**30
_GIB = 2**30


def examine(settings: Settings, machine: Machine | None = None) -> list[Finding]:
    """What was found, in the order in which a server would meet it."""
    machine = machine or look()
    findings = [_check_python(), *_check_packages(machine), _check_device(settings, machine)]
    model = _guarded("model", lambda: _check_model(settings))
    findings.append(model)
    if model.level is not Level.FAIL:
        findings += _check_fit(settings, machine, find_checkpoint(settings.model))
    url = settings.database_url
    findings += [check_database(url), check_sqlite(), check_disk(url)]
    return [*findings, check_port(settings.host, settings.port)]


def _check_fit(settings: Settings, machine: Machine, checkpoint: Checkpoint) -> list[Finding]:
    """How model, settings and machine go together."""
    findings = [_guarded("policies", lambda: _check_policies(settings, checkpoint))]
    gpu = find_gpu(settings.device, machine)
    if gpu is None and settings.device.startswith("cuda"):
        return findings  # there is no device to fit on
    if _is_quantized(checkpoint.folder):
        return [*findings, _check_quantized(machine, gpu)]
    findings.append(_guarded("dtype", lambda: _check_dtype(settings, machine, gpu, checkpoint)))
    findings.append(_guarded("memory", lambda: _check_memory(settings, machine, gpu, checkpoint)))
    return findings


def find_gpu(device: str, machine: Machine) -> Gpu | None:
    """The GPU that the engine would take; None: it runs on the CPU, or not at all."""
    if device == "cpu":
        return None
    number = int(device.partition(":")[2] or 0)
    return machine.gpus[number] if number < len(machine.gpus) else None


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """A doctor does not die of what the patient has."""
    try:
        return check()
    except StartupRefused as error:
        return fail(name, str(error), "")
    except Exception as error:  # damaged files: what the libraries raise is theirs to choose
        return fail(name, f"{type(error).__name__}: {error}", "the files are damaged: pull again")


def _check_python() -> Finding:
    version = platform.python_version()
    if _numbers(version) < _MIN_PYTHON:
        return fail("python", version, "install Python 3.11 or newer")
    return ok("python", version)


def _check_packages(machine: Machine) -> list[Finding]:
    if machine.error:  # torch that does not import serves nobody, whatever its version
        return [fail("torch", machine.error, _INSTALL)]
    return [_check_package(name, machine) for name in _NEEDED]


def _check_package(name: str, machine: Machine) -> Finding:
    installed, needed = machine.packages.get(name), _NEEDED[name]
    if installed is None:
        return fail(name, "is not installed", _INSTALL)
    if _numbers(installed) < needed:
        return fail(name, f"{installed}; {'.'.join(map(str, needed))} is needed", _INSTALL)
    return ok(name, installed)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _check_device(settings: Settings, machine: Machine) -> Finding:
    gpu = find_gpu(settings.device, machine)
    if gpu is not None:
        return ok("device", gpu.name)
    if settings.device.startswith("cuda"):
        detail = f"{settings.device} was asked for, and torch sees {len(machine.gpus)} GPUs"
        return fail("device", detail, _why_no_gpu(machine))
    if settings.device == "auto" and machine.has_nvidia:
        return warn("device", "CPU, though there is an NVIDIA GPU", _why_no_gpu(machine))
    return ok("device", "CPU")


def _why_no_gpu(machine: Machine) -> str:
    if machine.cuda is None:
        return "this torch is built for CPUs: install one for CUDA (pytorch.org)"
    return machine.warning or "look at nvidia-smi and CUDA_VISIBLE_DEVICES"


def _check_model(settings: Settings) -> Finding:
    if settings.model != "guard-tiny" and not Path(settings.model).is_dir():
        advice = f"guard pull llama-guard-3-8b --to {settings.model}"
        return fail("model", f"{settings.model}: no such folder", advice)
    checkpoint = find_checkpoint(settings.model)
    if checkpoint.is_development:
        advice = "it is not Llama Guard 3, do not rely on it: guard pull llama-guard-3-8b"
        return warn("model", f"{checkpoint.name}, the development default", advice)
    return ok("model", f"{checkpoint.name} in {checkpoint.folder}")


def _check_policies(settings: Settings, checkpoint: Checkpoint) -> Finding:
    """That the tokenizer has the answer's tokens, and the model can read every policy."""
    window = _window(settings, checkpoint)
    tokenizer = GuardTokenizer.from_folder(checkpoint.folder, window)
    policies = read_policies(settings.policies or _POLICIES)
    if settings.default_policy not in policies:
        raise SettingsInvalid(f"default_policy: no policy {settings.default_policy}")
    for policy in policies.values():
        tokenizer.check_policy(policy)
    return ok("policies", f"{', '.join(policies)}; windows of {window} tokens")


def _window(settings: Settings, checkpoint: Checkpoint) -> int:
    return min(settings.max_window_tokens or checkpoint.context, checkpoint.context)


def _dtype(settings: Settings, gpu: Gpu | None, checkpoint: Checkpoint) -> str:
    """What the engine makes of "auto": on a CPU float32, on a GPU the checkpoint's own."""
    if settings.dtype != "auto":
        return settings.dtype
    return "float32" if gpu is None else stored_dtype(checkpoint.folder)


def _check_dtype(
    settings: Settings, machine: Machine, gpu: Gpu | None, checkpoint: Checkpoint
) -> Finding:
    dtype = _dtype(settings, gpu, checkpoint)
    if gpu is not None and dtype == "bfloat16" and not gpu.has_bfloat16:
        return warn("dtype", f"{gpu.name} emulates bfloat16", "faster here: GUARD_DTYPE=float16")
    flags = _CPU_FLAGS.get(dtype)
    if gpu is None and flags is not None and not flags & machine.cpu_flags:
        return warn("dtype", f"this CPU emulates {dtype}", "faster here: GUARD_DTYPE=float32")
    return ok("dtype", dtype)


def _check_memory(
    settings: Settings, machine: Machine, gpu: Gpu | None, checkpoint: Checkpoint
) -> Finding:
    needed = measure(
        checkpoint.folder,
        _dtype(settings, gpu, checkpoint),
        # A window that alone is over the budget of a batch goes alone.
        max_batch_tokens=max(settings.max_batch_tokens, _window(settings, checkpoint)),
        max_batch_requests=settings.max_batch_requests,
        on_gpu=gpu is not None,
    )
    free = machine.ram_bytes if gpu is None else gpu.free_bytes
    detail = f"{_needs(needed)}; {_has(free, gpu)}"
    if free is None:
        return warn("memory", detail, "see for yourself that it fits")
    if needed.weight_bytes > free:
        return fail("memory", detail, "the weights do not fit: free memory, or use a larger device")
    if needed.num_bytes > free:
        return warn("memory", detail, "full batches may not fit: lower GUARD_MAX_BATCH_TOKENS")
    if gpu is None and needed.weight_bytes > _LARGE_BYTES:
        return warn("memory", detail, "a model of this size takes seconds a check on a CPU")
    return ok("memory", detail)


def _needs(needed: Footprint) -> str:
    weights, workspace = needed.weight_bytes / _GIB, needed.workspace_bytes / _GIB
    return f"needs {weights:.1f} GiB for {needed.dtype} weights, about {workspace:.1f} GiB to work"


def _has(free: int | None, gpu: Gpu | None) -> str:
    if gpu is not None:
        free_gib, total_gib = gpu.free_bytes / _GIB, gpu.total_bytes / _GIB
        return f"{free_gib:.1f} of {total_gib:.1f} GiB are free on {gpu.name}"
    return "free RAM cannot be told" if free is None else f"{free / _GIB:.1f} GiB of RAM are free"


def _is_quantized(folder: Path) -> bool:
    return "quantization_config" in json.loads((folder / "config.json").read_text("utf-8"))


def _check_quantized(machine: Machine, gpu: Gpu | None) -> Finding:
    if machine.packages.get("bitsandbytes") is None:
        advice = "pip install bitsandbytes, or use llama-guard-3-8b"
        return fail("quantization", "a quantized checkpoint needs bitsandbytes", advice)
    if gpu is None:
        advice = "use a GPU, or llama-guard-3-8b"
        return fail("quantization", "a quantized checkpoint needs a GPU", advice)
    return warn("quantization", "quantized; we have never run one", "compare it with guard eval")
