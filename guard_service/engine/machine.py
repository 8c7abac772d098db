"""What this machine has: libraries, GPUs, memory. Looks without importing torch."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PROBE = (sys.executable, "-m", "guard_service.engine.probe")
_PROBE_TIMEOUT_S = 120.0
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    free_bytes: int
    total_bytes: int
    has_bfloat16: bool


@dataclass(frozen=True, slots=True)
class Machine:
    packages: Mapping[str, str | None] = field(default_factory=dict)  # None: not installed
    cuda: str | None = None  # that torch was built for
    gpus: tuple[Gpu, ...] = ()  # that torch sees
    has_nvidia: bool = False  # whether the system has an NVIDIA device at all
    ram_bytes: int | None = None  # available; None: cannot be told
    cpu_flags: frozenset[str] = frozenset()
    error: str = ""  # why torch cannot be imported
    warning: str = ""  # what it said when asked for GPUs


def look(command: tuple[str, ...] = _PROBE, timeout_s: float = _PROBE_TIMEOUT_S) -> Machine:
    """This machine; what cannot be found out is left empty, with the error."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return _machine({"error": f"torch did not answer in {timeout_s:.0f} s"})
    except OSError as error:
        return _machine({"error": f"{command[0]}: {error.strerror}"})
    return _machine(_read(done.stdout) or {"error": _last_words(done)})


def available_memory(root: Path = _ROOT) -> int | None:
    """Bytes that a new process may use: of the machine, or of its container if that has less."""
    limits = [limit for limit in (_free_memory(root), _container_memory(root)) if limit is not None]
    return min(limits) if limits else None


def cpu_flags(root: Path = _ROOT) -> frozenset[str]:
    for line in _lines(root / "proc/cpuinfo"):
        name, _, values = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86, ARM
            return frozenset(values.split())
    return frozenset()


def _machine(found: dict[str, object]) -> Machine:
    gpus = found.get("gpus") or []
    packages, cuda = found.get("packages") or {}, found.get("cuda")
    assert isinstance(gpus, list) and isinstance(packages, dict), "This is a bug in probe.py."
    return Machine(
        packages=packages,
        cuda=str(cuda) if cuda else None,
        gpus=tuple(Gpu(**gpu) for gpu in gpus),
        has_nvidia=Path("/dev/nvidiactl").exists(),
        ram_bytes=available_memory(),
        cpu_flags=cpu_flags(),
        error=_first_line(found.get("error")),
        warning=_first_line(found.get("warning")),
    )


def _first_line(text: object) -> str:
    return str(text or "").partition("\n")[0]


def _read(output: str) -> dict[str, object]:
    """The probe's last line: libraries may have said something of their own before it."""
    try:
        found = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _last_words(done: "subprocess.CompletedProcess[str]") -> str:
    said = done.stderr.strip().splitlines()
    return f"the probe ended with {done.returncode}: {said[-1] if said else 'no word'}"


def _free_memory(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _container_memory(root: Path) -> int | None:
    folder = root / "sys/fs/cgroup"  # version 2; "max" means no limit
    limit, used = _lines(folder / "memory.max"), _lines(folder / "memory.current")
    if not limit or not used or limit[0] == "max":
        return None
    return max(int(limit[0]) - int(used[0]), 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
