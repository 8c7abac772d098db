"""Our engine in this process, without the service around it."""

from pathlib import Path
from typing import Any

import torch
from protocol import Peer, Work, serve

from guard_service.engine.message import Load
from guard_service.engine.worker import load_guard
from guard_service.prompt import Prefix, Prompt


def load(work: Work) -> Peer:
    threads = work.num_threads or None
    guard, _ = load_guard(Load(Path(work.folder), work.device, work.dtype, threads))
    size = work.options["batch"]
    prompts = [
        Prompt(Prefix(tuple(ids[:num]), tuple(work.codes)), tuple(ids[num:]))
        for ids, num in zip(work.prompts, work.num_prefix, strict=True)
    ]

    def run() -> list[Any]:
        batches = [prompts[at : at + size] for at in range(0, len(prompts), size)]
        return [
            {"score": reading.unsafe_score, "codes": list(reading.listed)}
            for batch in batches
            for reading in guard.read(batch)
        ]

    return Peer(f"torch {torch.__version__}", run)


if __name__ == "__main__":
    serve(load)
