"""Linear layers in the model's own type. Each takes and gives it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Linear = Callable[[Tensor], Tensor]
MakeLinear = Callable[["Weights"], Linear]

# Tokens of a pass for which oneDNN lays out weights; others read the same layout as fast.
_TYPICAL_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Weights:
    weight: Tensor  # [out, in]
    bias: Tensor | None

    @classmethod
    def joined(cls, *parts: "Weights") -> "Weights":
        """Of layers that read the same input."""
        if len(parts) == 1:
            return parts[0]
        biases = [part.bias for part in parts if part.bias is not None]
        return cls(
            torch.cat([part.weight for part in parts]), torch.cat(biases) if biases else None
        )


def is_packing_supported(dtype: torch.dtype) -> bool:
    """Whether oneDNN has kernels of this type for this CPU."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class DenseLinear:
    def __init__(self, weights: Weights) -> None:
        self._weight, self._bias = weights.weight, weights.bias

    def __call__(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, self._weight, self._bias)


class PackedLinear:
    """Weights lie as oneDNN's kernels read them, and not laid out anew for every pass, which takes
    a fifth of a short one. In float32 its kernels outdo MKL's on a Zen 5.
    The operators are those that torch.compile puts for frozen weights.
    """

    def __init__(self, weights: Weights) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weights.weight, _TYPICAL_TOKENS)
        self._bias = weights.bias

    def __call__(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self._weight, self._bias, "none", [], ""
        )
        return outputs
