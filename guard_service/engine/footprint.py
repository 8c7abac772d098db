"""How much memory a checkpoint will take. Reads headers and config.json, needs no torch.

Weights are counted; the workspace is an estimate from the shapes of one full micro-batch.
"""

import json
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from guard_service.errors import CheckpointRefused

_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_OTHER_BITS = {"I64": 64, "U64": 64, "I32": 32, "U32": 32, "I16": 16, "U16": 16}
_CUDA_CONTEXT_BYTES = 2**29  # driver, kernels, cuBLAS: what a process pays before any tensor
_SLACK = 1.25  # fragmentation, and what the estimate forgets


@dataclass(frozen=True, slots=True)
class Footprint:
    dtype: str  # of the weights in memory
    weight_bytes: int
    workspace_bytes: int

    @property
    def num_bytes(self) -> int:
        return self.weight_bytes + self.workspace_bytes


def stored_dtype(folder: Path) -> str:
    """The floating type that most of the weights have in the files."""
    floats = Counter({_FLOATS[k]: n for k, n in _count_elements(folder).items() if k in _FLOATS})
    if not floats:
        raise CheckpointRefused(f"{folder}: no floating point weights")
    return floats.most_common(1)[0][0]


def measure(
    folder: Path, dtype: str, *, max_batch_tokens: int, max_batch_requests: int, on_gpu: bool
) -> Footprint:
    """What a checkpoint takes with its floating point weights in `dtype`."""
    weights = 0
    for kind, count in _count_elements(folder).items():
        bits = _BYTES[dtype] * 8 if kind in _FLOATS else _OTHER_BITS.get(kind, 8)
        weights += count * bits // 8
    batch = _batch_bytes(_config(folder), _BYTES[dtype], max_batch_tokens, max_batch_requests)
    return Footprint(dtype, weights, int(batch * _SLACK) + (_CUDA_CONTEXT_BYTES if on_gpu else 0))


def _batch_bytes(config: dict[str, Any], size: int, tokens: int, requests: int) -> int:
    """Keys and values of all layers, the widest layer's activations, and logits of four rows."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head_width = config.get("head_dim") or width // heads
    kv_heads = config.get("num_key_value_heads") or heads
    keys_values = 2 * config["num_hidden_layers"] * kv_heads * head_width * size
    activations = (3 * config["intermediate_size"] + 8 * width) * size
    mask = tokens  # one byte for each pair of tokens, at worst
    logits = requests * 4 * config["vocab_size"] * 4 * 2  # float32, and their softmax
    return int(tokens * (keys_values + activations + mask) + logits)


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    needed = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    if missing := [key for key in (*needed, "vocab_size") if not isinstance(config.get(key), int)]:
        raise CheckpointRefused(f"{folder / 'config.json'}: has no {', '.join(missing)}")
    return config


def _count_elements(folder: Path) -> Counter[str]:
    """Elements of all weights by the type that they have in the files."""
    counts: Counter[str] = Counter()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                weight = file.get_slice(name)
                counts[weight.get_dtype()] += prod(weight.get_shape())
    return counts
