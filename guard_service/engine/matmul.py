"""Prints the FLOP/s of a large matrix product: `python -m guard_service.engine.matmul DEVICE DTYPE
THREADS` (0: torch's own choice). Never imported: whoever measures must not load torch.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch

_ROUNDS = 7


def main() -> None:
    device, dtype, num_threads = sys.argv[1:]
    if int(num_threads):
        torch.set_num_threads(int(num_threads))
    size = 8192 if device.startswith("cuda") else 2048
    left, right = (
        torch.randn(size, size, device=device).to(getattr(torch, dtype)) for _ in range(2)
    )
    times = [_seconds(lambda: left @ right, device) for _ in range(_ROUNDS + 1)]
    print(2 * size**3 / statistics.median(times[1:]))


@torch.inference_mode()
def _seconds(work: Callable[[], object], device: str) -> float:
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
