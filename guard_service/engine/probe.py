"""Says as JSON what torch sees of this machine. Run as `python -m` by `machine.py`, never imported:
the process that asks must not load torch, and a driver that kills its caller kills only this.
"""

import json
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("torch", "transformers", "accelerate", "bitsandbytes")


def main() -> None:
    found: dict[str, Any] = {
        "packages": {name: _version(name) for name in PACKAGES},
        "cuda": None,
        "gpus": [],
        "error": "",
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # torch says by a warning that a driver is too old
        try:
            found |= _torch()
        except Exception as error:
            found["error"] = f"{type(error).__name__}: {error}"
    found["warning"] = next((str(one.message) for one in caught), "")
    print(json.dumps(found))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _torch() -> dict[str, Any]:
    import torch

    numbers = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {"cuda": torch.version.cuda, "gpus": [_gpu(torch.cuda, n) for n in numbers]}


def _gpu(cuda: Any, number: int) -> dict[str, Any]:
    properties = cuda.get_device_properties(number)
    free_bytes, total_bytes = cuda.mem_get_info(number)
    return {
        "name": properties.name,
        "free_bytes": free_bytes,
        "total_bytes": total_bytes,
        "has_bfloat16": properties.major >= 8,  # before Ampere it is emulated
    }


if __name__ == "__main__":
    main()
