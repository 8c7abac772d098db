"""Linear layers whose weights are kept in fewer bits.

Every row of the weight and of the input is scaled by its largest value.
"""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.functional import ScalingType

from guard_service.engine.linear import Weights

_MAX_FP8 = torch.finfo(torch.float8_e4m3fn).max
_LEAST = 1e-12  # a row of zeros has a scale too


class Int8Linear:
    """Eight-bit products on a CPU."""

    def __init__(self, weights: Weights) -> None:
        weight = weights.weight.float()
        scales = weight.abs().amax(1).clamp(min=_LEAST) / 127
        with warnings.catch_warnings():  # deprecated without a successor in torch itself
            warnings.simplefilter("ignore")
            quantized = torch.quantize_per_channel(
                weight, scales, torch.zeros_like(scales, dtype=torch.long), 0, torch.qint8
            )
            self._packed = torch.ops.quantized.linear_prepack(quantized, None)
        self._bias = weights.bias

    def __call__(self, inputs: Tensor) -> Tensor:
        # The operator has one scale for all of its input: rows come with the same largest value.
        scales = inputs.float().abs().amax(-1, keepdim=True).clamp(min=_LEAST)
        # Inputs of seven bits: pairs of products of eight overflow where a CPU has no VNNI.
        outputs: Tensor = torch.ops.quantized.linear_dynamic(
            inputs / scales, self._packed, reduce_range=not torch.cpu._is_vnni_supported()
        )
        outputs = (outputs * scales).to(inputs.dtype)
        return outputs if self._bias is None else outputs + self._bias


class Fp8Linear:
    """Eight-bit floating point products, fast from Hopper on; widths are multiples of 16."""

    def __init__(self, weights: Weights) -> None:
        self._weight, scales = to_fp8(weights.weight)
        self._scales = scales.t()
        self._bias = weights.bias

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
    scales = values.abs().amax(-1, keepdim=True).float().clamp(min=_LEAST) / _MAX_FP8
    return (values / scales).to(torch.float8_e4m3fn), scales
