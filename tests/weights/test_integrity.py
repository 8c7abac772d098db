import shutil
import tomllib
from pathlib import Path

import pytest

from guard_service.errors import CheckpointRefused
from guard_service.weights.checkpoint import Checkpoint, find_checkpoint
from guard_service.weights.integrity import write_digests

FILES = ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"]


@pytest.fixture
def folder(guard_tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in (*FILES, "manifest.toml"):
        shutil.copy(guard_tiny / name, folder)
    write_digests(folder)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointRefused) as error:
        find_checkpoint(str(folder)).verify()
    return str(error.value)


def test_the_embedded_model_is_the_one_that_its_manifest_knows() -> None:
    checkpoint = find_checkpoint("guard-tiny")
    assert "model.safetensors" in checkpoint.digests
    assert len(checkpoint.verify()) == 64


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_refused_and_names_the_file(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-20] ^= 1
    (folder / name).write_bytes(content)
    checkpoint = Checkpoint(folder, "model", 1024, 0, (), find_digests(folder))
    with pytest.raises(CheckpointRefused, match=f"damaged or exchanged: {name}"):
        checkpoint.verify()


def find_digests(folder: Path) -> dict[str, str]:
    digests: dict[str, str] = tomllib.loads((folder / "manifest.toml").read_text())["sha256"]
    return digests


def test_a_file_that_went_or_came_is_refused_by_name(folder: Path) -> None:
    (folder / "generation_config.json").rename(folder / "special_tokens_map.json")
    assert "missing: generation_config.json" in refusal(folder)
    assert "not in manifest.toml: special_tokens_map.json" in refusal(folder)


def test_without_known_digests_nothing_is_refused(folder: Path) -> None:
    (folder / "manifest.toml").write_text('name = "m"\n')
    find_checkpoint(str(folder)).verify()


def test_writing_again_replaces_the_digests_and_nothing_else(folder: Path) -> None:
    before = tomllib.loads((folder / "manifest.toml").read_text())
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + "\n")
    assert "tokenizer.json" in refusal(folder)
    assert write_digests(folder) == len(FILES)
    find_checkpoint(str(folder)).verify()
    after = tomllib.loads((folder / "manifest.toml").read_text())
    assert {**before, "sha256": None} == {**after, "sha256": None}
    assert (folder / "manifest.toml").read_text().count("[sha256]") == 1
