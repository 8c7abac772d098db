import json
from pathlib import Path

import pytest

from guard_service.benchmark.work import Shape, matmul_flops

LLAMA_8B = Shape(
    num_layers=32,
    width=4096,
    inner_width=14336,
    query_width=4096,
    kv_width=1024,
    vocabulary=128256,
)


def test_flops_of_an_8b_model_are_those_of_its_arithmetic() -> None:
    """13.96 GFLOP a token over 32 layers, and 2.23 TFLOP for 160 tokens behind 200."""
    per_token = LLAMA_8B.flops(0, 2000) - LLAMA_8B.flops(0, 1999)
    layers = per_token * 32 / 31
    assert layers == pytest.approx(13.96e9, rel=0.08)  # attention grows with the place
    assert LLAMA_8B.flops(200, 160) == pytest.approx(2.23e12, rel=0.03)


def test_a_longer_prefix_costs_attention_alone() -> None:
    assert 0 < LLAMA_8B.flops(400, 160) - LLAMA_8B.flops(200, 160) < 0.02e12


def test_sizes_are_read_from_a_checkpoints_configuration(guard_tiny: Path) -> None:
    config = json.loads((guard_tiny / "config.json").read_text())
    shape = Shape.of_folder(guard_tiny)
    assert shape.query_width == config["num_attention_heads"] * config["head_dim"]
    assert shape.num_layers == config["num_hidden_layers"]


def test_the_matrix_product_is_measured_in_another_process() -> None:
    assert matmul_flops("cpu", "float32", 1) > 1e8  # type: ignore[operator]


def test_a_device_that_is_not_there_gives_no_rate() -> None:
    assert matmul_flops("cuda:99", "float32", 1) is None
