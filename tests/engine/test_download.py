import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from fake_hub import COMMIT, FakeHub
from transformers import LlamaConfig, LlamaForCausalLM
from word_tokenizer import word_tokenizer

from guard_service.conversation import Role
from guard_service.engine import download
from guard_service.engine.checkpoint import Checkpoint
from guard_service.engine.download import pull
from guard_service.engine.manifest import find_manifest, known_models
from guard_service.errors import CheckpointRefused

REPO = "meta-llama/Llama-Guard-3-8B"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
TOKEN = "hf_notToBeShown"


@pytest.fixture(scope="module")
def random_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of random weights in two shards, with the least tokenizer that can answer."""
    folder = tmp_path_factory.mktemp("shards")
    tokenizer = word_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    sizes = {"hidden_size": 32, "intermediate_size": 160, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048}
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), **sizes, **heads)
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="60KB")
    assert tuple(sorted(path.name for path in folder.glob("*.safetensors"))) == SHARDS
    return folder


@pytest.fixture
def hub(random_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    folder = Path(shutil.copytree(random_shards, tmp_path / "hub"))
    (folder / "README.md").write_text("not wanted")
    with FakeHub(REPO, folder).running() as hub:
        yield hub


def fetch(hub: FakeHub, folder: Path, model: str = "llama-guard-3-8b", **given: str) -> Checkpoint:
    return pull(model, folder, endpoint=hub.endpoint, **given)


def refusal(hub: FakeHub, folder: Path, model: str = "llama-guard-3-8b", **given: str) -> str:
    with pytest.raises(CheckpointRefused) as caught:
        fetch(hub, folder, model, **given)
    message = str(caught.value)
    assert TOKEN not in message and "\n" not in message
    return message


def weights_fetched(hub: FakeHub) -> list[str]:
    return sorted(name for name, _ in hub.fetched if name in SHARDS)


def change_config(hub: FakeHub, **changes: object) -> None:
    path = hub.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_known_model_is_fetched_checked_and_described(hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "guard"
    checkpoint = fetch(hub, folder)
    assert (checkpoint.folder, checkpoint.name) == (folder, "llama-guard-3-8b")
    assert checkpoint.context == 2048  # the manifest's 8192 is more than this checkpoint takes
    assert [canary.role for canary in checkpoint.canaries] == [
        Role.USER,
        Role.ASSISTANT,
        Role.USER,
    ]
    written = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    assert (written["repo"], written["revision"], written["context"]) == (REPO, COMMIT, 8192)
    assert written["licence"].startswith("Llama 3.1 is licensed")
    assert not (folder / "README.md").exists()


def test_any_other_repository_is_fetched_by_its_name(hub: FakeHub, tmp_path: Path) -> None:
    hub.repo = "someone/My-Guard"
    checkpoint = fetch(hub, tmp_path / "x", "someone/My-Guard", revision=COMMIT)
    assert (checkpoint.name, len(checkpoint.canaries)) == ("my-guard", 2)


def test_pulling_again_fetches_nothing(hub: FakeHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path / "x")
    hub.fetched.clear()
    fetch(hub, tmp_path / "x")
    assert hub.fetched == []


def test_an_interrupted_pull_goes_on_with_the_files_that_are_missing(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.refused[SHARDS[1]] = 503
    assert "answered 503: pull again later" in refusal(hub, tmp_path / "x")
    assert not (tmp_path / "x" / "manifest.toml").exists()
    hub.refused.clear()
    hub.fetched.clear()
    fetch(hub, tmp_path / "x")
    assert weights_fetched(hub) == [SHARDS[1]]


def test_a_broken_connection_goes_on_where_it_broke(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.cut_once.add(SHARDS[0])
    fetch(hub, tmp_path / "x")
    whole_chunks = (hub.folder / SHARDS[0]).stat().st_size // 2 // 1024 * 1024
    assert (SHARDS[0], f"bytes={whole_chunks}-") in hub.fetched


def test_pickles_beside_safetensors_are_left_on_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    (hub.folder / "pytorch_model.bin").write_bytes(b"pickle")
    (hub.folder / "original").mkdir()
    (hub.folder / "original" / "consolidated.00.pth").write_bytes(b"pickle")
    (hub.folder / "original" / "model.safetensors").write_bytes(b"not in the top folder")
    fetch(hub, tmp_path / "x")
    assert not (tmp_path / "x" / "pytorch_model.bin").exists()
    assert not (tmp_path / "x" / "original").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "a.pth", "model.ckpt"])
def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(
    hub: FakeHub, tmp_path: Path, name: str
) -> None:
    for shard in SHARDS:
        (hub.folder / shard).unlink()
    (hub.folder / name).write_bytes(b"pickle")
    message = refusal(hub, tmp_path / "x")
    assert f"its weights are pickles ({name})" in message
    assert hub.fetched == []


def test_a_repository_without_weights_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    for shard in SHARDS:
        (hub.folder / shard).unlink()
    assert "has no model*.safetensors files" in refusal(hub, tmp_path / "x")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"architectures": ["MistralForCausalLM"]}, "LlamaForCausalLM"),
    ],
)
def test_a_wrong_config_is_refused_before_the_weights_are_fetched(
    hub: FakeHub, tmp_path: Path, changes: dict[str, object], expected: str
) -> None:
    change_config(hub, **changes)
    assert expected in refusal(hub, tmp_path / "x")
    assert weights_fetched(hub) == []


def test_a_missing_tokenizer_is_refused_before_the_weights_are_fetched(
    hub: FakeHub, tmp_path: Path
) -> None:
    (hub.folder / "tokenizer.json").unlink()
    assert "tokenizer.json is missing" in refusal(hub, tmp_path / "x")
    assert weights_fetched(hub) == []


def test_a_missing_shard_is_refused_by_name(hub: FakeHub, tmp_path: Path) -> None:
    (hub.folder / SHARDS[1]).unlink()
    assert f"missing weight files: {SHARDS[1]}" in refusal(hub, tmp_path / "x")


def test_damaged_safetensors_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    (hub.folder / SHARDS[0]).write_bytes(b"\xff" * 64)
    assert "not a safetensors file" in refusal(hub, tmp_path / "x")
    assert not (tmp_path / "x" / "manifest.toml").exists()


def test_a_flipped_bit_is_found_when_pulling_again(hub: FakeHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path / "x")
    path = tmp_path / "x" / SHARDS[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "is not the file that the hub has; delete it" in refusal(hub, tmp_path / "x")
    path.unlink()
    fetch(hub, tmp_path / "x")


def test_weights_of_another_model_in_the_folder_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "model.safetensors").write_bytes(b"other")
    assert "holds weights of another model" in refusal(hub, tmp_path / "x")


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: full)
    assert "make room or choose another folder" in refusal(hub, tmp_path / "x")
    assert hub.fetched == []


def test_a_gated_repository_without_a_token_says_what_to_do(hub: FakeHub, tmp_path: Path) -> None:
    hub.token = TOKEN
    message = refusal(hub, tmp_path / "x")
    assert f"gated: accept the licence at {hub.endpoint}/{REPO}, then set HF_TOKEN" in message


def test_a_token_without_access_is_told_to_accept_the_licence(hub: FakeHub, tmp_path: Path) -> None:
    hub.token = "hf_another"
    message = refusal(hub, tmp_path / "x", token=TOKEN)
    assert "the account of HF_TOKEN has no access: accept the licence" in message


def test_the_token_of_the_environment_opens_a_gated_repository(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = TOKEN
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch(hub, tmp_path / "x")


def test_a_token_that_the_hub_does_not_know_is_named_as_the_problem(
    hub: FakeHub, tmp_path: Path
) -> None:
    message = refusal(hub, tmp_path / "x", token="unknown")
    assert "does not know the token in HF_TOKEN" in message


@pytest.mark.parametrize("given", [{}, {"token": TOKEN}], ids=["no token", "token"])
def test_a_missing_repository_is_refused(
    hub: FakeHub, tmp_path: Path, given: dict[str, str]
) -> None:
    assert "no such repository" in refusal(hub, tmp_path / "x", "someone/nothing", **given)


def test_a_missing_revision_is_refused_by_name(hub: FakeHub, tmp_path: Path) -> None:
    assert "has no revision v9" in refusal(hub, tmp_path / "x", revision="v9")


def test_a_hub_that_is_away_says_so(random_shards: Path, tmp_path: Path) -> None:
    with FakeHub(REPO, random_shards).running() as gone:
        pass
    assert "cannot be reached (ConnectError)" in refusal(gone, tmp_path / "x")


@pytest.mark.parametrize("model", ["guard", "a/b/c", ""])
def test_a_name_that_is_no_model_lists_those_that_are(tmp_path: Path, model: str) -> None:
    with pytest.raises(CheckpointRefused, match="known are llama-guard-3-8b"):
        pull(model, tmp_path / "x")


def test_an_impossible_repository_name_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    assert "write OWNER/REPO" in refusal(hub, tmp_path / "x", "some one/guard--x")


def test_the_shipped_manifests_are_of_the_real_models() -> None:
    assert {name: manifest.repo for name, manifest in known_models().items()} == {
        "llama-guard-3-8b": REPO,
        "llama-guard-3-8b-int8": f"{REPO}-INT8",
    }
    assert find_manifest(REPO) is not None
    for manifest in known_models().values():
        assert manifest.context == 8192
        assert manifest.licence.endswith("All Rights Reserved.")
        assert {canary["unsafe"] for canary in manifest.canaries} == {True, False}
