"""The arithmetic that a prompt cannot be read without, and what this machine does in a second."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_DRAFT_TOKENS = 3
_ROWS_READ = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama, from its config.json."""

    num_layers: int
    width: int
    inner_width: int
    query_width: int
    kv_width: int
    vocabulary: int

    @classmethod
    def of_folder(cls, folder: Path) -> "Shape":
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        heads, width = config["num_attention_heads"], config["hidden_size"]
        head_width = config.get("head_dim") or width // heads
        return cls(
            num_layers=config["num_hidden_layers"],
            width=width,
            inner_width=config["intermediate_size"],
            query_width=heads * head_width,
            kv_width=config.get("num_key_value_heads", heads) * head_width,
            vocabulary=config["vocab_size"],
        )

    def flops(self, prefix_tokens: int, new_tokens: int) -> float:
        """Useful FLOPs of one reading behind a kept prefix.

        The last layer is needed only where it is read, but its keys and values everywhere.
        """
        tokens = new_tokens + _DRAFT_TOKENS
        kv = 4 * self.width * self.kv_width
        rest = 4 * self.width * self.query_width + 6 * self.width * self.inner_width
        pair = 4 * self.query_width
        pairs = tokens * prefix_tokens + tokens * (tokens + 1) / 2
        layer = tokens * (kv + rest) + pairs * pair
        read = _ROWS_READ * (rest + (prefix_tokens + tokens) * pair)
        head = _ROWS_READ * 2 * self.width * self.vocabulary
        return (self.num_layers - 1) * layer + tokens * kv + read + head


def matmul_flops(device: str, dtype: str, num_threads: int | None) -> float | None:
    """FLOP/s of a large matrix product, measured now in a process of its own; None if it failed."""
    command = (sys.executable, "-m", "guard_service.engine.matmul")
    done = subprocess.run(
        (*command, device, dtype, str(num_threads or 0)), stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
