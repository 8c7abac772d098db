"""What this machine has for a model: torch, GPUs, memory. Asks `probe.py`, imports no torch."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROBE = (sys.executable, "-m", "guard_service.engine.probe")


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    torch: str = ""  # its version
    gpus: tuple[Gpu, ...] = ()  # that torch sees
    ram_bytes: int = 0  # that a new process may use
    error: str = ""  # why torch said nothing


def look(command: Sequence[str] = _PROBE) -> Machine:
    """This machine; what torch warns of goes to stderr."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        found = json.loads(done.stdout.splitlines()[-1])  # a library may have spoken before
    except (IndexError, ValueError):
        found = {"error": f"the process that asked torch ended with status {done.returncode}"}
    gpus = tuple(Gpu(**gpu) for gpu in found.get("gpus", ()))
    return Machine(found.get("torch", ""), gpus, available_memory(), found.get("error", ""))


def find_devices(asked: str) -> tuple[str, ...]:
    """One device for each engine: those asked for, or every GPU, or the CPU."""
    if asked != "auto":
        return tuple(asked.split(","))
    if not Path("/dev/nvidiactl").exists():
        return ("auto",)  # without a driver there is nothing to ask torch, which takes seconds
    return tuple(f"cuda:{number}" for number in range(len(look().gpus))) or ("cpu",)


def available_memory(root: Path = Path("/")) -> int:
    """Bytes of RAM: what is free on the machine, or the container's limit if that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError):
        free = re.findall(r"MemAvailable:\s+(\d+) kB", (root / "proc/meminfo").read_text())
        limits += [int(kib) * 1024 for kib in free]
    with suppress(OSError, ValueError):  # "max": no limit
        limits.append(int((root / "sys/fs/cgroup/memory.max").read_text()))
    return min(limits)
