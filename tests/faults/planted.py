"""Plants defects, one at a time, in a copy of the tree, and demands that the named test fails.

python tests/faults/planted.py [words of a defect]
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 600
NUM_AT_ONCE = 4


@dataclass(frozen=True)
class Defect:
    """What goes wrong where `right` becomes `wrong`, and the test that says so."""

    what: str
    file: str
    right: str
    wrong: str
    test: str
    conftest: bool = False


def read_defects() -> list[Defect]:
    text = (Path(__file__).parent / "planted.toml").read_text(encoding="utf-8")
    return [Defect(**row) for row in tomllib.loads(text)["defects"]]


def main() -> int:
    chosen = [defect for defect in read_defects() if " ".join(sys.argv[1:]) in defect.what]
    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        caught = list(pool.map(_is_caught, chosen))
    print(f"{sum(caught)} of {len(chosen)} planted defects caught")
    return 0 if chosen and all(caught) else 1


def _is_caught(defect: Defect) -> bool:
    """Whether the test passes without the defect and fails, not merely breaks, with it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy(Path(folder))
        path = copy / "guard_service" / defect.file
        text = path.read_text(encoding="utf-8")
        before = _run(defect, copy)
        path.write_text(text.replace(defect.right, defect.wrong), encoding="utf-8")
        after = _run(defect, copy)
    is_caught = (before, after) == (0, 1)
    print(f"{'caught' if is_caught else f'NOT CAUGHT {before} {after}'}: {defect.what}", flush=True)
    return is_caught


def _copy(folder: Path) -> Path:
    for name in ("guard_service", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
    (folder / "models").symlink_to(ROOT / "models")  # large, and never written
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def _run(defect: Defect, copy: Path) -> int:
    """pytest's exit status: 0 passed, 1 failed, anything else is neither."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [] if defect.conftest else ["--noconftest"]
    environment = os.environ | {"PYTHONPATH": str(copy)}
    try:
        return subprocess.run(
            [*command, f"tests/{defect.test}"],
            cwd=copy,
            env=environment,
            capture_output=True,
            timeout=LIMIT_S,
        ).returncode
    except subprocess.TimeoutExpired:
        return -1


if __name__ == "__main__":
    sys.exit(main())
