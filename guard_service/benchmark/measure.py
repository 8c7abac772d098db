"""One measurement from start to end: load, saturate, stand under load, compare number types."""

import os
import platform
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from guard_service import __version__
from guard_service.benchmark import report
from guard_service.benchmark.report import Agreement, Latency, Report, Scores, Throughput
from guard_service.benchmark.target import Target, open_here, open_running
from guard_service.benchmark.traffic import send_all, send_poisson
from guard_service.benchmark.work import Shape, matmul_flops
from guard_service.benchmark.workload import WORKLOADS, build_conversations, draw_rows
from guard_service.config import Settings
from guard_service.conversation import Conversation
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.supervision.machine import Machine, look
from guard_service.weights.checkpoint import find_checkpoint

_NUM_WARM_UP = 32

Judged = Sequence[tuple[str, list[Conversation]]]  # workload and its conversations


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `shares` are of the saturation that the same run measured."""

    workloads: tuple[str, ...] = ("W100",)
    rows: Path | None = None  # labelled rows, one more workload
    num_requests: int = 256
    num_in_flight: int = 128
    unsafe_share: float = 0.1  # of the labelled rows
    shares: tuple[float, ...] = (0.5, 0.8, 0.95)
    duration_s: float = 10.0
    address: str | None = None  # a running service; None: one of our own
    agreement: tuple[str, ...] = ()  # number types to compare
    price_per_hour: float | None = None
    seed: int = 0


async def measure(plan: Plan, settings: Settings) -> Report:
    """Everything of the plan; only one measurement at a time makes sense on a machine."""
    checkpoint = find_checkpoint(settings.model)
    judged, shape = judged_of(plan, checkpoint.folder), Shape.of_folder(checkpoint.folder)
    before = look()
    async with _open(plan, settings) as target:
        await send_all(target.ask, judged[0][1][:_NUM_WARM_UP], plan.num_in_flight)
        rate = None
        if plan.address is None:  # while the engine idles
            rate = matmul_flops(target.device, target.dtype, settings.num_threads)
        saturated, scores = await _saturate(plan, target, judged, shape, rate)
        stood = await _stand(plan, target, judged, saturated)
        peak_ram, peak_gpu = _peak_ram(target.engine_pid), _gpu_growth(before, look())
    return Report(
        model=checkpoint.name,
        target=plan.address or "in process",
        device=target.device,
        dtype=target.dtype,
        machine=_machine(before),
        version=f"guard-service {__version__}, torch {before.torch}",
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        load_s=target.load_s,
        peak_ram_bytes=peak_ram,
        peak_gpu_bytes=peak_gpu if target.engine_pid else None,
        matmul_flops_per_s=rate,
        throughput=saturated,
        latency=stood,
        agreement=await _agree(plan, settings, judged, scores, target.dtype),
    )


def judged_of(plan: Plan, folder: Path) -> Judged:
    """The conversations of each workload, as long as the plan says in this model's tokens."""
    tokenizer = GuardTokenizer.from_folder(folder)

    def count(text: str) -> int:
        return len(tokenizer.encode([text])[0].ids)

    built = [
        (name, build_conversations(WORKLOADS[name], plan.num_requests, count, plan.seed))
        for name in plan.workloads
    ]
    if plan.rows is not None:
        drawn = draw_rows(plan.rows, plan.num_requests, plan.unsafe_share, plan.seed)
        built.append((plan.rows.stem, drawn))
    return built


def _open(plan: Plan, settings: Settings) -> AbstractAsyncContextManager[Target]:
    return open_running(plan.address) if plan.address else open_here(settings)


async def _saturate(
    plan: Plan, target: Target, judged: Judged, shape: Shape, rate: float | None
) -> tuple[tuple[Throughput, ...], dict[str, Scores]]:
    """Throughput of each workload, and the scores that were read meanwhile."""
    found, scores = list[Throughput](), dict[str, Scores]()
    for name, conversations in judged:
        run = await send_all(target.ask, conversations, plan.num_in_flight)
        found.append(report.throughput(name, run, shape, rate, plan.price_per_hour))
        scores[name] = run.scores
    return tuple(found), scores


async def _stand(
    plan: Plan, target: Target, judged: Judged, saturated: Sequence[Throughput]
) -> tuple[Latency, ...]:
    found = list[Latency]()
    for (name, conversations), top in zip(judged, saturated, strict=True):
        for share in plan.shares:
            offered = share * top.requests_per_s
            run = await send_poisson(target.ask, conversations, offered, plan.duration_s, plan.seed)
            found.append(report.latency(name, share, offered, run))
    return tuple(found)


async def _agree(
    plan: Plan,
    settings: Settings,
    judged: Judged,
    expected: dict[str, Scores],
    reference: str,
) -> tuple[Agreement, ...]:
    """The same conversations read by an engine of each other number type."""
    found = list[Agreement]()
    for dtype in plan.agreement:
        async with open_here(settings.model_copy(update={"dtype": dtype})) as other:
            for name, conversations in judged:
                run = await send_all(other.ask, conversations, plan.num_in_flight)
                found.append(report.agreement(name, dtype, reference, run.scores, expected[name]))
    return tuple(found)


def _peak_ram(pid: int | None) -> int | None:
    """Most bytes that the engine process ever held in RAM."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else None


def _gpu_growth(before: Machine, after: Machine) -> int | None:
    """Bytes of GPU memory that went since; what torch once took it keeps, so this is its peak."""
    if not before.gpus or len(before.gpus) != len(after.gpus):
        return None
    pairs = zip(before.gpus, after.gpus, strict=True)
    return max(old.free_bytes - new.free_bytes for old, new in pairs)


def _machine(seen: Machine) -> str:
    gpus = ", ".join(gpu.name for gpu in seen.gpus)
    return gpus or f"{_processor()}, {_num_cores()} cores"


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()
