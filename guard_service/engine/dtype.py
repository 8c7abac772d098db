"""How a model's weights are kept: by the number type asked for, and by what the device can."""

import torch

from guard_service.engine.linear import (
    DenseLinear,
    MakeLinear,
    PackedLinear,
    is_packing_supported,
)
from guard_service.engine.narrow import Fp8Linear, Int8Linear

# Kept in fewer bits, computed in the type beside it.
_NARROW: dict[str, MakeLinear] = {"int8": Int8Linear, "fp8": Fp8Linear}
COMPUTED_IN = {"int8": "float32", "fp8": "bfloat16"}


def find_linear(name: str, device: torch.device, dtype: torch.dtype) -> MakeLinear:
    """The one place that decides; `name` is the number type asked for."""
    if name in _NARROW:
        return _NARROW[name]
    if device.type == "cpu" and dtype == torch.bfloat16 and is_packing_supported():
        return PackedLinear
    return DenseLinear
