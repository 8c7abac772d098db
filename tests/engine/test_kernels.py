import sys
from pathlib import Path

import pytest
import torch
from checkpoints import save_random_llama
from transformers import AutoModelForCausalLM, PreTrainedModel

from guard_service.engine import kernels
from guard_service.engine.attention import SegmentAttention, by_products, fused
from guard_service.engine.kernels import find_kernels
from guard_service.engine.linear import DenseLinear, PackedLinear, is_packing_supported
from guard_service.engine.narrow import Int8Linear


def model_of(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return model


def test_a_small_model_on_a_cpu_is_not_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(save_random_llama(tmp_path), torch.float32)
    monkeypatch.setenv("CXX", sys.executable)  # any program that is there
    assert not find_kernels("float32", model).is_compiled
    monkeypatch.setattr(kernels, "MIN_COMPILED_WEIGHTS", model.num_parameters())
    assert find_kernels("float32", model).is_compiled
    monkeypatch.setenv("CXX", "/no/such/compiler")
    assert not find_kernels("float32", model).is_compiled


def test_the_number_type_decides_how_weights_are_kept(tmp_path: Path) -> None:
    folder = save_random_llama(tmp_path)
    exact, half = model_of(folder, torch.float32), model_of(folder, torch.bfloat16)
    for model in (exact, half):
        expected = PackedLinear if is_packing_supported(model.dtype) else DenseLinear
        assert find_kernels("auto", model).make_linear is expected
    assert find_kernels("int8", exact).make_linear is Int8Linear


def test_a_head_is_laid_out_anew_where_it_is_not_the_embedding_too(tmp_path: Path) -> None:
    for is_tied in (False, True):
        folder = save_random_llama(tmp_path / str(is_tied), tie_word_embeddings=is_tied)
        model = model_of(folder, torch.float32)
        is_packed = is_packing_supported(model.dtype) and not is_tied
        for name in ("auto", "int8"):  # a head is never narrow
            found = find_kernels(name, model).make_head
            assert found is (PackedLinear if is_packed else DenseLinear)


@pytest.mark.parametrize("has_amx", [False, True])
def test_bfloat16_attends_by_products_where_the_fused_kernel_has_no_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_amx: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    folder = save_random_llama(tmp_path)
    for dtype in (torch.float32, torch.bfloat16):
        attend = find_kernels("auto", model_of(folder, dtype)).attend
        assert isinstance(attend, SegmentAttention)
        is_slow = dtype == torch.bfloat16 and not has_amx
        assert attend.see is (by_products if is_slow else fused)


def test_a_cpu_has_no_graphs(tmp_path: Path) -> None:
    found = find_kernels("float32", model_of(save_random_llama(tmp_path), torch.float32))
    assert found.record is None
