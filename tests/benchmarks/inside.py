"""Stages of the GPU benchmark that look into a pass: what graphs save, where its time goes."""

from benchmarks.session import Session
from benchmarks.stages import PASS_TOKENS, Row, passes
from torch.profiler import ProfilerActivity, profile

from guard_service.engine.llama_guard import LlamaGuard
from guard_service.prompt import Prompt

NUM_KERNELS = 15


def graphs(session: Session) -> list[Row]:
    """Short passes as graphs and launched one by one, in turn on the same weights."""
    guard, rows = session.loaded(), list[Row]()
    recorded = guard.llama.graphs
    for num in (1, 2, 4):
        prompts = session.prompts("W100")[:num]
        row: Row = {"prompts": num, "tokens": sum(len(p.ids) for p in prompts)}
        for name, chosen in (("graph, ms", recorded), ("launched, ms", ())):
            guard.llama.graphs = chosen
            row[name] = session.seconds(lambda batch=prompts: guard.read(batch)) * 1000
        rows.append(row | {"graphs": len(recorded)})
    guard.llama.graphs = recorded
    return rows


def kernels(session: Session) -> list[Row]:
    """The largest shares of one full pass, on the device and on the host."""
    guard = session.loaded()
    prompts = next(passes(session.prompts("W100"), PASS_TOKENS))
    wall_ms = session.seconds(lambda: guard.read(prompts)) * 1000
    rows = _profile(session, guard, prompts)
    busy_ms = sum(row["ms"] for row in rows)
    return [{"kernel": "the pass, by the clock", "ms": wall_ms, "share": busy_ms / wall_ms}, *rows]


def _profile(session: Session, guard: LlamaGuard, prompts: list[Prompt]) -> list[Row]:
    is_cuda = session.device.startswith("cuda")
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    with profile(activities=kinds) as profiled:
        guard.read(prompts)
        session.synchronize()
    times = [
        (event.self_device_time_total if is_cuda else event.self_cpu_time_total, event)
        for event in profiled.key_averages()
    ]
    total = sum(us for us, _ in times)
    times.sort(key=lambda pair: -pair[0])
    return [
        {"kernel": event.key[:80], "ms": us / 1000, "share": us / total, "calls": event.count}
        for us, event in times[:NUM_KERNELS]
    ]
