import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from checkpoints import save_random_llama
from conversations import conversation, policy
from safetensors.torch import load_file, save_file
from scripted import SAFE, prompt
from transformers import AutoModelForCausalLM

from guard_service.engine.message import Load
from guard_service.engine.tokenizer import GuardTokenizer
from guard_service.engine.worker import _read, load_guard
from guard_service.errors import CheckpointRefused
from guard_service.prompt import Prompt
from guard_service.verdict import Reading


def load(folder: Path, dtype: str = "auto") -> Load:
    return Load(folder, "cpu", dtype, None)


def test_weights_that_are_not_numbers_are_refused_by_name(
    random_llama: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(random_llama, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointRefused, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        load_guard(load(folder))


def test_a_checkpoint_in_shards_reads_as_the_same_in_one_file(
    random_llama: Path, tmp_path: Path
) -> None:
    shards = Path(shutil.copytree(random_llama, tmp_path / "shards"))
    (shards / "model.safetensors").unlink()
    model = AutoModelForCausalLM.from_pretrained(random_llama)
    model.save_pretrained(shards, max_shard_size="5MB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    (one,), _ = GuardTokenizer.from_folder(shards).prompts(conversation("hello"), policy())
    whole, parts = (load_guard(load(folder))[0].read([one]) for folder in (random_llama, shards))
    assert whole == parts


@pytest.mark.parametrize(("dtype", "name"), [("auto", "float32"), ("bfloat16", "bfloat16")])
def test_the_type_of_the_weights_is_chosen_in_one_place(
    random_llama: Path, dtype: str, name: str
) -> None:
    _, loaded = load_guard(load(random_llama, dtype))
    assert (loaded.device, loaded.dtype) == ("cpu", name)


def test_rope_scaling_of_the_checkpoint_is_used(tmp_path: Path) -> None:
    """Llama 3.1 scales, Llama Guard 3's own table says it does not: the file decides."""
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 256,
    }
    plain = save_random_llama(tmp_path / "plain", initializer_range=0.3)
    scaled = save_random_llama(tmp_path / "scaled", initializer_range=0.3, rope_scaling=scaling)
    long = conversation("some words " * 300)
    (one,), _ = GuardTokenizer.from_folder(plain).prompts(long, policy())
    scores = [load_guard(load(f))[0].read([one])[0].unsafe_score for f in (plain, scaled)]
    assert scores[0] != pytest.approx(scores[1], abs=1e-4)


class SmallDevice:
    """Has memory for two prompts at a time."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        self.sizes.append(len(prompts))
        if len(prompts) > 2 or 666 in prompts[0].ids:
            raise torch.OutOfMemoryError
        return [Reading(prompt.ids[0] / 100, 1.0, SAFE.first_scores) for prompt in prompts]


def test_a_batch_too_large_for_the_device_is_read_in_halves_and_in_order() -> None:
    device = SmallDevice()
    readings = _read(device, tuple(prompt(n) for n in range(7)))  # type: ignore[arg-type]
    assert [round(reading.unsafe_score * 100) for reading in readings] == list(range(7))
    assert device.sizes[0] == 7


def test_a_single_prompt_too_large_for_the_device_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        _read(SmallDevice(), (prompt(666),))  # type: ignore[arg-type]
