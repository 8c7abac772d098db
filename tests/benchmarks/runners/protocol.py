"""One line of JSON asks, one answers. Standard library only: this file runs in every peer's Python.

-> {"folder", "dtype", "prompts": [[id, ...], ...], "num_prefix": [...], ...}   <- {"ready": name}
-> "prepare"  <- null       (not timed: what the peer needs before the same prompts come again)
-> "run"      <- answers    (timed by whoever asks)
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_ANSWER_TOKENS = 20


@dataclass(frozen=True)
class Work:
    """What every peer is given. An answer is its ids without the one that stops it."""

    folder: str
    dtype: str
    device: str
    num_threads: int
    prompts: list[list[int]]
    num_prefix: list[int]  # of each prompt's ids, shared by all of its judged side
    codes: list[str]  # that the prompts offer
    messages: list[list[dict[str, str]]]
    stop_ids: list[int]
    options: dict[str, Any]

    @property
    def cache(self) -> Path:
        """Beside the checkpoint: what a peer converts it to."""
        return Path(f"{self.folder}.{self.dtype}")


@dataclass(frozen=True)
class Peer:
    version: str
    run: Callable[[], list[Any]]
    prepare: Callable[[], object] = lambda: None
    close: Callable[[], object] = lambda: None


def serve(load: Callable[[Work], Peer]) -> None:
    """Answer until stdin ends; whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = load(Work(**json.loads(sys.stdin.readline())))
    print(json.dumps({"ready": peer.version}), file=out, flush=True)
    for line in sys.stdin:
        answer = peer.prepare() if json.loads(line) == "prepare" else peer.run()
        print(json.dumps(answer), file=out, flush=True)
    peer.close()


def until_stop(ids: list[int], stop_ids: list[int]) -> list[int]:
    """The answer before its first stop token."""
    ends = [place for place, token in enumerate(ids) if token in stop_ids]
    return ids[: ends[0]] if ends else ids
