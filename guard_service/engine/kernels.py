"""What a model is computed with: the one place where device, number type and size decide."""

import os
from dataclasses import dataclass
from shutil import which

import torch
from transformers import PreTrainedModel

from guard_service.engine.attention import (
    KEY_MULTIPLE,
    Attention,
    SegmentAttention,
    by_products,
    fused,
    varlen_attention,
)
from guard_service.engine.graph import Record, cuda_record
from guard_service.engine.linear import (
    DenseLinear,
    MakeLinear,
    PackedLinear,
    is_packing_supported,
)
from guard_service.engine.narrow import Fp8Linear, Int8Linear
from guard_service.engine.packing import Tiles

# Kept in fewer bits, computed in the type beside it.
_NARROW: dict[str, MakeLinear] = {"int8": Int8Linear, "fp8": Fp8Linear}
COMPUTED_IN = {"int8": "float32", "fp8": "bfloat16"}
# Compiling takes a CPU some twenty seconds the first time, some five with its kernels on disk:
# a small model on a CPU starts sooner than it would ever catch up.
MIN_COMPILED_WEIGHTS = 500_000_000


@dataclass(frozen=True, slots=True)
class Kernels:
    make_linear: MakeLinear
    make_head: MakeLinear  # never narrow: its small differences decide
    attend: Attention
    tiles: Tiles
    is_compiled: bool = False  # what lies between the products
    record: Record | None = None  # short passes


def find_kernels(name: str, model: PreTrainedModel) -> Kernels:
    """`name` is the number type asked for: the model's own, or a narrower one."""
    exact = _find_exact(model)
    make_linear = _NARROW.get(name, exact)
    if model.device.type == "cuda":
        # A GPU fills whole tiles, and so sees few shapes. Its flash kernel takes half types alone.
        is_half = model.dtype in (torch.bfloat16, torch.float16)
        attend = varlen_attention() if is_half else _find_attention(model)
        record = cuda_record() if is_half else None
        return Kernels(make_linear, exact, attend, Tiles(tokens=128), True, record)
    is_compiled = model.num_parameters() >= MIN_COMPILED_WEIGHTS and has_compiler()
    # A weight that is also the embedding would be there twice.
    make_head = DenseLinear if model.config.tie_word_embeddings else exact
    tiles = Tiles(keys=KEY_MULTIPLE)
    return Kernels(make_linear, make_head, _find_attention(model), tiles, is_compiled)


def has_compiler() -> bool:
    return which(os.environ.get("CXX", "g++")) is not None


def _find_attention(model: PreTrainedModel) -> Attention:
    is_slow_fused = model.device.type == "cpu" and model.dtype == torch.bfloat16
    if is_slow_fused and not torch.cpu._is_amx_tile_supported():
        return SegmentAttention(by_products, block=64)
    return SegmentAttention(fused, block=256)


def _find_exact(model: PreTrainedModel) -> MakeLinear:
    """For the model's own type."""
    is_packed = model.device.type == "cpu" and is_packing_supported(model.dtype)
    return PackedLinear if is_packed else DenseLinear
