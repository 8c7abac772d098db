"""Linear layers by the type in which their weights are kept. Each takes and gives the model's type.

int8 and fp8 scale every row of the weight and of the input by its largest value.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.functional import ScalingType

Linear = Callable[[Tensor], Tensor]
MakeLinear = Callable[[Tensor, Tensor | None], Linear]

_MAX_FP8 = torch.finfo(torch.float8_e4m3fn).max


@dataclass(frozen=True, slots=True)
class DenseLinear:
    weight: Tensor  # [out, in]
    bias: Tensor | None

    def __call__(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, self.weight, self.bias)


class Int8Linear:
    """Eight-bit products on a CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        scales = weight.float().abs().amax(1).clamp(min=1e-12) / 127
        with warnings.catch_warnings():  # deprecated without a successor in torch itself
            warnings.simplefilter("ignore")
            quantized = torch.quantize_per_channel(
                weight.float(), scales, torch.zeros_like(scales, dtype=torch.long), 0, torch.qint8
            )
            self._packed = torch.ops.quantized.linear_prepack(
                quantized, None if bias is None else bias.float()
            )

    def __call__(self, inputs: Tensor) -> Tensor:
        # Inputs of seven bits: pairs of products of eight overflow where a CPU has no VNNI.
        outputs: Tensor = torch.ops.quantized.linear_dynamic(
            inputs.float(), self._packed, reduce_range=True
        )
        return outputs.to(inputs.dtype)


class Fp8Linear:
    """Eight-bit floating point products, fast from Hopper on; widths are multiples of 16."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, scales = to_fp8(weight)
        self._scales = scales.t()
        self._bias = bias

    def __call__(self, inputs: Tensor) -> Tensor:
        rounded, scales = to_fp8(inputs)
        return F.scaled_mm(
            rounded,
            self._weight.t(),
            scales,
            ScalingType.RowWise,
            self._scales,
            ScalingType.RowWise,
            bias=self._bias,
            output_dtype=inputs.dtype,
            use_fast_accum=True,
        )


def to_fp8(values: Tensor) -> tuple[Tensor, Tensor]:
    """Rows rounded to eight bits, and the scale [rows, 1] by which each was divided."""
    scales = values.abs().amax(-1, keepdim=True).float().clamp(min=1e-12) / _MAX_FP8
    return (values / scales).to(torch.float8_e4m3fn), scales
