"""Generates guard_service/v1 from the protos beside this file, or checks that it is fresh.

python protos/generate.py [--check]
"""

import filecmp
import sys
import sysconfig
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
PACKAGE = Path("guard_service/v1")


def generate(into: Path) -> None:
    protos = sorted((ROOT / "protos" / PACKAGE).glob("*.proto"))
    packages = Path(sysconfig.get_path("purelib"))  # google/rpc and google/protobuf come in wheels
    includes = (ROOT / "protos", packages, packages / "grpc_tools" / "_proto")
    arguments = [f"-I{folder}" for folder in includes]
    arguments += [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", *arguments, *map(str, protos)]) != 0:
        sys.exit("protoc failed")


def stale() -> list[str]:
    """Names of stubs that are not what the protos give."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / PACKAGE
        names = sorted(path.name for path in fresh.iterdir())
        _, different, missing = filecmp.cmpfiles(fresh, ROOT / PACKAGE, names, shallow=False)
    return different + missing


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        if names := stale():
            sys.exit(f"run make protos: {', '.join(names)} are not what the protos give")
    else:
        generate(ROOT)
