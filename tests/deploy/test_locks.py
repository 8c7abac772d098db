"""The locks hold what pyproject.toml asks for, at the versions CI runs with, and their hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Version and number of hashes of each package in a lock."""
    text = (ROOT / "deploy" / "locks" / name).read_text()
    blocks = re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n    --hash.*)*)", text, re.MULTILINE)
    return {
        canonicalize_name(package): (version, block.count("--hash=sha256:"))
        for package, version, block in blocks
    }


def wanted() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["serve"], *extras["telemetry"]]
    return [Requirement(line) for line in lines]


def constraints() -> dict[str, str]:
    lines = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    pinned = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name): version for name, version in pinned}


LOCKED = locked("serve.txt") | locked("torch-cuda.txt")


@pytest.mark.parametrize("requirement", wanted(), ids=lambda requirement: requirement.name)
def test_all_that_is_asked_for_is_locked_at_a_version_that_fits(requirement: Requirement) -> None:
    version, num_hashes = LOCKED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)
    assert num_hashes > 0


def test_ci_and_the_locks_run_the_same_versions() -> None:
    tested = constraints()
    others = {n: v for n, (v, _) in LOCKED.items() if n in tested and tested[n] != v}
    assert others == {}


def test_nothing_is_locked_without_a_hash_and_torch_is_apart() -> None:
    assert all(num_hashes for _, num_hashes in LOCKED.values())
    assert "torch" not in locked("serve.txt")
    assert not any(name.startswith("nvidia-") for name in locked("serve.txt"))
