import json
import shutil
import struct
from pathlib import Path

import pytest

from guard_service.errors import CheckpointRefused
from guard_service.weights.checkpoint import find_checkpoint, find_window


@pytest.fixture
def folder(random_llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(random_llama, tmp_path / "model"))


def change_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointRefused) as error:
        find_checkpoint(str(folder))
    return str(error.value)


def test_the_embedded_model_is_found_by_its_name() -> None:
    checkpoint = find_checkpoint("guard-tiny")
    assert checkpoint.is_development
    assert checkpoint.num_bytes < 20_000_000
    assert {canary.is_unsafe for canary in checkpoint.canaries} == {True, False}


def test_a_sound_folder_is_accepted_under_its_own_name(folder: Path) -> None:
    checkpoint = find_checkpoint(str(folder))
    assert checkpoint.name == "model"
    assert not checkpoint.is_development
    assert checkpoint.context == 2048


def test_the_manifest_may_lower_the_window_but_not_raise_it(folder: Path) -> None:
    (folder / "manifest.toml").write_text('name = "m"\ncontext = 512\n')
    assert find_window(folder) == 512
    (folder / "manifest.toml").write_text('name = "m"\ncontext = 99999\n')
    assert find_window(folder) == 2048


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_files_are_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert ("safetensors" if "model" in name else name) in refusal(folder)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl"])
def test_pickle_files_are_refused_by_name_even_beside_safetensors(
    folder: Path, suffix: str
) -> None:
    (folder / f"pytorch_model{suffix}").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert f"pytorch_model{suffix}" in refusal(folder)


def test_code_from_the_checkpoint_is_refused(folder: Path) -> None:
    change_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Evil"})
    assert "auto_map" in refusal(folder)


def test_another_architecture_is_refused(folder: Path) -> None:
    change_config(folder, architectures=["MistralForCausalLM"])
    assert "LlamaForCausalLM" in refusal(folder)


def test_a_config_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    assert "not JSON" in refusal(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        struct.pack("<Q", 0),
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 10) + b"not json!!",
        b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    ],
)
def test_a_file_that_only_claims_to_be_safetensors_is_refused(folder: Path, header: bytes) -> None:
    (folder / "model.safetensors").write_bytes(header)
    assert "model.safetensors: not a safetensors file" in refusal(folder)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert "not a safetensors file" in refusal(folder)


def test_shards_must_be_exactly_those_of_the_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "model.safetensors", "b": "lost.safetensors"}})
    )
    assert "missing weight files: lost.safetensors" in refusal(folder)
    index.write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    shutil.copy(folder / "model.safetensors", folder / "extra.safetensors")
    assert "not in the index: extra.safetensors" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_one_changed_byte_changes_the_digest(folder: Path, name: str) -> None:
    checkpoint = find_checkpoint(str(folder))
    before = checkpoint.verify()
    with (folder / name).open("ab") as file:
        file.write(b" ")
    assert checkpoint.verify() != before
