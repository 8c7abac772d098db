import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from guard_service.engine.footprint import measure, stored_dtype
from guard_service.errors import CheckpointRefused

CONFIG = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 32,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file({"a": torch.zeros(10, 8, dtype=torch.bfloat16)}, tmp_path / "model-1.safetensors")
    others = {"b": torch.zeros(5), "c": torch.zeros(4, dtype=torch.int8)}
    save_file(others, tmp_path / "model-2.safetensors")
    return tmp_path


def weight_bytes(folder: Path, dtype: str) -> int:
    measured = measure(folder, dtype, max_batch_tokens=1, max_batch_requests=1, on_gpu=False)
    return measured.weight_bytes


def test_floating_point_weights_are_counted_in_the_type_that_they_will_have(folder: Path) -> None:
    assert weight_bytes(folder, "bfloat16") == 85 * 2 + 4
    assert weight_bytes(folder, "float32") == 85 * 4 + 4


def test_the_stored_type_is_that_of_most_weights(folder: Path) -> None:
    assert stored_dtype(folder) == "bfloat16"


def test_a_checkpoint_without_floating_point_weights_has_no_stored_type(tmp_path: Path) -> None:
    save_file({"c": torch.zeros(4, dtype=torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointRefused, match="no floating point weights"):
        stored_dtype(tmp_path)


def test_the_workspace_grows_with_the_batch_and_a_gpu_costs_its_context(folder: Path) -> None:
    def workspace(tokens: int, *, on_gpu: bool = False) -> int:
        sizes = {"max_batch_tokens": tokens, "max_batch_requests": 1}
        return measure(folder, "float32", **sizes, on_gpu=on_gpu).workspace_bytes

    assert workspace(10) < workspace(1000)
    assert workspace(10, on_gpu=True) - workspace(10) == 2**29


def test_a_config_without_sizes_is_refused_by_their_names(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({**CONFIG, "vocab_size": None}))
    with pytest.raises(CheckpointRefused, match="has no vocab_size"):
        weight_bytes(folder, "float32")
