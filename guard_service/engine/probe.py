"""Says as JSON what torch sees of this machine. Run as `python -m` by `machine.py`, never imported:
the front process must not load torch, and a driver that kills its caller kills only this.
"""

import json
from typing import Any


def main() -> None:
    try:
        found = _look()
    except Exception as error:  # a torch that cannot be imported raises what it likes
        found = {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}
    print(json.dumps(found))


def _look() -> dict[str, Any]:
    import torch

    numbers = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {"torch": torch.__version__, "gpus": [_gpu(torch.cuda, n) for n in numbers]}


def _gpu(cuda: Any, number: int) -> dict[str, Any]:
    free_bytes, total_bytes = cuda.mem_get_info(number)
    name = cuda.get_device_name(number)
    return {"name": name, "free_bytes": free_bytes, "total_bytes": total_bytes}


if __name__ == "__main__":
    main()
