import pytest
import torch
import torch.nn.functional as F

from guard_service.engine.linear import PackedLinear, Weights, is_packing_supported

needs_packing = pytest.mark.skipif(
    not is_packing_supported(), reason="this CPU has no bfloat16 kernels of oneDNN"
)


def weights(num_out: int, num_in: int, has_bias: bool) -> Weights:
    bias = torch.randn(num_out, dtype=torch.bfloat16) if has_bias else None
    return Weights(torch.randn(num_out, num_in, dtype=torch.bfloat16), bias)


@needs_packing
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("num_tokens", [1, 3, 200])
def test_packed_weights_give_the_same_products(num_tokens: int, has_bias: bool) -> None:
    torch.manual_seed(0)
    layer, inputs = weights(48, 32, has_bias), torch.randn(num_tokens, 32, dtype=torch.bfloat16)
    exact = F.linear(
        inputs.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double()
    )
    torch.testing.assert_close(
        PackedLinear(layer)(inputs), exact.bfloat16(), rtol=2**-7, atol=2**-7
    )
