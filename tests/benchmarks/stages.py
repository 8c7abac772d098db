"""The stages of the GPU benchmark: each takes the session and returns rows of figures."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import transformers
from benchmarks.checkpoint import make_checkpoint
from benchmarks.session import DTYPE, Session
from transformers import AutoModelForCausalLM

from guard_service.benchmark.report import agreement
from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.engine.llama_guard import LlamaGuard
from guard_service.engine.message import Load
from guard_service.engine.worker import load_guard
from guard_service.prompt import Prompt
from guard_service.verdict import Reading

WORKLOADS = ("W100", "W300", "W1000", "Wmix")
BUDGETS = (256, 512, 1024, 2048, 4096)
PASS_TOKENS = 2048
FP8 = "fp8"

Row = dict[str, Any]


def machine(session: Session) -> Row:
    is_cuda = session.device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name() if is_cuda else "cpu",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "shape": session.shape,
    }


def checkpoint(session: Session) -> Row:
    make_checkpoint(session.folder, session.shape, session.device)
    files = sorted(session.folder.glob("*.safetensors"))
    return {"shards": len(files), "GB": sum(path.stat().st_size for path in files) / 1e9}


def load(session: Session) -> Row:
    """Seconds as the engine process takes them, and the memory that is held at most."""
    if session.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    session.guard = None
    session.loaded()
    session.synchronize()
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() if session.device.startswith("cuda") else None
    return {"seconds": seconds, "peak GPU bytes": peak}


@torch.inference_mode()
def correctness(session: Session) -> Row:
    """Every reading against plain forward passes of transformers, one prompt at a time."""
    prompts = [p for name in ("W100", "Wmix") for p in session.prompts(name)[:32]]
    readings = [r for batch in passes(prompts) for r in session.loaded().read(batch)]
    answer = GuardTokenizer.from_folder(session.folder).answer
    model = AutoModelForCausalLM.from_pretrained(
        session.folder, dtype=getattr(torch, DTYPE), device_map={"": session.device}
    ).eval()
    expected = []
    for prompt in prompts:
        ids = torch.tensor([[*prompt.prefix.ids, *prompt.ids]], device=session.device)
        logits = model(ids, logits_to_keep=1).logits[0, -1].float()
        expected.append(float(logits[[answer.safe, answer.unsafe]].softmax(-1)[1]))
    del model
    row = vars_of(agreement("W100, Wmix", DTYPE, "transformers", scores(readings), expected))
    return row | {"min label mass": min(reading.label_mass for reading in readings)}


def matmul(session: Session) -> list[Row]:
    """A large product, then those of one layer at the sizes of our passes."""
    size = 8192 if session.device.startswith("cuda") else 1024
    session.flops_per_s = _product(session, size, size, size)
    rows = [{"rows": size, "in": size, "out": size, "TFLOP/s": session.flops_per_s / 1e12}]
    shape = session.sizes
    for num_rows in BUDGETS:
        for name, out in (("gate-up", 2 * shape.inner_width), ("o", shape.width)):
            rate = _product(session, num_rows, shape.width, out)
            rows.append(
                {"rows": num_rows, "in": shape.width, "out": out, "TFLOP/s": rate / 1e12}
                | {"of": name}
            )
    return rows


def sweep(session: Session) -> list[Row]:
    """Passes of growing size, from one prompt on."""
    guard, rows = session.loaded(), list[Row]()
    cases = [(f"{name}, one", session.prompts(name)[:1]) for name in ("W100", "W300", "W1000")]
    mixed = session.prompts("W100") * (1 + max(BUDGETS) // 100 // session.num_prompts)
    cases += [(f"{size} tokens", next(passes(mixed, size))) for size in BUDGETS]
    for name, prompts in cases:
        seconds = session.seconds(lambda batch=prompts: guard.read(batch))
        rows.append(
            {"pass": name, "prompts": len(prompts), "tokens": sum(len(p.ids) for p in prompts)}
            | {"ms": seconds * 1000, "req/s": len(prompts) / seconds}
            | {"MFU": session.mfu(prompts, seconds)}
        )
    return rows


def throughput(session: Session) -> list[Row]:
    return [_throughput(session, session.loaded(), name) for name in WORKLOADS]


def fp8(session: Session) -> list[Row]:
    """The same readings with the body in FP8, and how much faster."""
    name = "W100"
    expected = [r for batch in passes(session.prompts(name)) for r in session.loaded().read(batch)]
    other, _ = load_guard(Load(session.folder, session.device, FP8, None))
    readings = [r for batch in passes(session.prompts(name)) for r in other.read(batch)]
    compared = vars_of(agreement(name, FP8, DTYPE, scores(readings), scores(expected)))
    speeds = [_throughput(session, guard, name) for guard in (session.loaded(), other)]
    return [compared, speeds[0] | {"dtype": DTYPE}, speeds[1] | {"dtype": FP8}]


def peers(session: Session) -> list[Row]:
    """transformers' ways on the same checkpoint; two races, so that all fit the device."""
    session.guard = None  # its memory is theirs now
    if session.device.startswith("cuda"):
        torch.cuda.empty_cache()
    rows = []
    races = (
        ("generate, one by one", "generate, static batch"),
        ("transformers continuous batching",),
    )
    for names in races:
        command = ["benchmarks.peers", "--model", str(session.folder), "--device", session.device]
        command += ["--dtype", DTYPE, "--rounds", str(session.rounds), "--prompts"]
        command += [str(min(64, session.num_prompts)), "--out", str(session.out)]
        _python(*command, "--peers", "ours", *names)
        rows += json.loads((session.out / "peers.json").read_text())
    return [_peer_row(row) for row in rows]


def poisson(session: Session) -> list[Row]:
    """The whole path under load, as `guard bench` measures it."""
    session.guard = None
    path = session.out / "bench.json"
    command = ["guard_service", "bench", "--model", str(session.folder), "--json", str(path)]
    command += ["--devices", session.device, "--dtype", DTYPE, "--requests"]
    command += [str(session.num_prompts), "--duration-s", "8" if session.shape == "8b" else "0.5"]
    _python(*command, "--workload", "W100", "--workload", "Wmix", "--load-share", "0.8")
    report = json.loads(path.read_text())
    return [*report["throughput"], *report["latency"]]


def passes(prompts: Sequence[Prompt], max_tokens: int = PASS_TOKENS) -> Iterator[list[Prompt]]:
    """In order, as many as fit a pass."""
    batch: list[Prompt] = []
    for prompt in prompts:
        if batch and sum(len(p.ids) for p in batch) + len(prompt.ids) > max_tokens:
            yield batch
            batch = []
        batch.append(prompt)
    yield batch


def scores(readings: Sequence[Reading]) -> list[float | None]:
    return [reading.unsafe_score for reading in readings]


def vars_of(found: Any) -> Row:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def _throughput(session: Session, guard: LlamaGuard, workload: str) -> Row:
    prompts = session.prompts(workload)
    batches = list(passes(prompts))
    seconds = session.seconds(lambda: [guard.read(batch) for batch in batches])
    tokens = sum(len(prompt.ids) for prompt in prompts)
    return {
        "workload": workload,
        "req/s": len(prompts) / seconds,
        "new tok/s": tokens / seconds,
        "tokens/pass": tokens / len(batches),
        "MFU": session.mfu(prompts, seconds),
    }


def _product(session: Session, rows: int, width: int, out: int) -> float:
    """FLOP/s of `rows` x `width` by a weight as Linear holds it."""
    dtype = getattr(torch, DTYPE)
    left = torch.randn(rows, width, device=session.device, dtype=dtype)
    weight = torch.randn(out, width, device=session.device, dtype=dtype)
    repeats = 10 if session.device.startswith("cuda") else 1

    def work() -> None:
        for _ in range(repeats):
            torch.nn.functional.linear(left, weight)

    return 2 * rows * width * out * repeats / session.seconds(work)


def _peer_row(row: Row) -> Row:
    seconds = row["seconds"]
    rate = row["num_prompts"] / statistics.median(seconds) if seconds else None
    same = row["answers"] or {}
    return {
        "peer": row["peer"],
        "req/s": rate,
        "verdicts equal": same.get("num_verdicts_equal"),
        "wrong": same.get("num_verdicts_outside"),
        "of": same.get("num"),
        "problem": row["problem"],
    }


def _python(*arguments: str) -> None:
    """A module in a process of its own; its last words are the error."""
    done = subprocess.run((sys.executable, "-m", *arguments), capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise RuntimeError(f"status {done.returncode}: {said[-1] if said else ''}")
