from typing import Any

import pytest
import torch
import torch.nn.functional as F

from guard_service.engine.linear import PackedLinear, Weights, is_packing_supported


def packable(dtype: torch.dtype) -> Any:
    reason = f"oneDNN has no {dtype} kernels for this CPU"
    mark = pytest.mark.skipif(not is_packing_supported(dtype), reason=reason)
    return pytest.param(dtype, marks=mark)


def weights(num_out: int, num_in: int, has_bias: bool, dtype: torch.dtype) -> Weights:
    bias = torch.randn(num_out, dtype=dtype) if has_bias else None
    return Weights(torch.randn(num_out, num_in, dtype=dtype), bias)


@pytest.mark.parametrize("dtype", [packable(torch.bfloat16), packable(torch.float32)])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("num_tokens", [1, 3, 200])
def test_packed_weights_give_the_same_products(
    num_tokens: int, has_bias: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    layer = weights(48, 32, has_bias, dtype)
    inputs = torch.randn(num_tokens, 32, dtype=dtype)
    exact = F.linear(
        inputs.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double()
    )
    tolerance = max(torch.finfo(dtype).eps, 1e-5)
    torch.testing.assert_close(
        PackedLinear(layer)(inputs), exact.to(dtype), rtol=tolerance, atol=tolerance
    )
