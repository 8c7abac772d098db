import pytest
import torch

from guard_service.engine.linear import DenseLinear, MakeLinear, Weights
from guard_service.engine.narrow import Fp8Linear, Int8Linear, to_fp8

WAYS = pytest.mark.parametrize(
    ("make_linear", "dtype", "margin"),
    [(Int8Linear, torch.float32, 0.03), (Fp8Linear, torch.bfloat16, 0.06)],
)


@WAYS
def test_fewer_bits_give_nearly_the_same_products(
    make_linear: MakeLinear, dtype: torch.dtype, margin: float
) -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 32, dtype=dtype) * torch.logspace(-2, 2, 64, dtype=dtype)[:, None]
    inputs = torch.randn(256, 32, dtype=dtype)
    expected = DenseLinear(Weights(weight, None))(inputs)
    found = make_linear(Weights(weight, None))(inputs)
    assert found.dtype == dtype
    errors = (found - expected).float().norm(dim=0) / expected.float().norm(dim=0)
    assert errors.max() < margin


@WAYS
def test_a_small_input_beside_a_large_one_keeps_its_digits(
    make_linear: MakeLinear, dtype: torch.dtype, margin: float
) -> None:
    torch.manual_seed(0)
    layer = Weights(torch.randn(64, 32, dtype=dtype), torch.randn(64, dtype=dtype))
    inputs = torch.randn(64, 32, dtype=dtype) * torch.logspace(0, 3, 64, dtype=dtype)[:, None]
    expected, found = (make(layer)(inputs) for make in (DenseLinear, make_linear))
    errors = (found - expected).float().norm(dim=1) / expected.float().norm(dim=1)
    assert errors.max() < margin


def test_every_row_of_fp8_uses_the_whole_range() -> None:
    rounded, scales = to_fp8(torch.tensor([[1.0, -2.0], [1e4, 3.0], [0.0, 0.0]]))
    assert rounded.float().abs().amax(1).tolist() == [448.0, 448.0, 0.0]
    assert (rounded.float() * scales)[1, 0] == pytest.approx(1e4)
