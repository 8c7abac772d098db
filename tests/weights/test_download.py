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
from guard_service.errors import CheckpointRefused, DownloadFailed
from guard_service.weights import download
from guard_service.weights.checkpoint import Checkpoint
from guard_service.weights.download import find_manifest, pull

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
    with FakeHub(REPO, folder).running() as hub:
        yield hub


def fetch(hub: FakeHub, folder: Path, model: str = "llama-guard-3-8b", **given: str) -> Checkpoint:
    return pull(model, folder, endpoint=hub.endpoint, **given)


def refusal(
    hub: FakeHub,
    folder: Path,
    kind: type[Exception] = DownloadFailed,
    model: str = "llama-guard-3-8b",
    **given: str,
) -> str:
    with pytest.raises(kind) as caught:
        fetch(hub, folder, model, **given)
    message = str(caught.value)
    assert TOKEN not in message and "\n" not in message
    return message


def weights_fetched(hub: FakeHub) -> list[str]:
    return [name for name, _ in hub.fetched if name in SHARDS]


def test_a_known_model_is_fetched_checked_and_described(hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "guard"
    checkpoint = fetch(hub, folder)
    assert (checkpoint.folder, checkpoint.name) == (folder, "llama-guard-3-8b")
    assert checkpoint.context == 2048  # the manifest's 8192 is more than this checkpoint takes
    roles = [canary.role for canary in checkpoint.canaries]
    assert roles == [Role.USER, Role.ASSISTANT, Role.USER]
    written = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    assert (written["repo"], written["revision"], written["context"]) == (REPO, COMMIT, 8192)
    assert written["licence"].startswith("Llama 3.1 is licensed")


def test_any_other_repository_is_fetched_by_its_name(hub: FakeHub, tmp_path: Path) -> None:
    hub.repo = "someone/My-Guard"
    checkpoint = fetch(hub, tmp_path / "x", "someone/My-Guard", revision=COMMIT)
    assert (checkpoint.name, len(checkpoint.canaries)) == ("someone/My-Guard", 2)


def test_an_interrupted_pull_goes_on_with_the_files_that_are_missing(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.refused[SHARDS[1]] = 503
    assert "failed (503): pull again later" in refusal(hub, tmp_path / "x")
    hub.refused.clear()
    hub.fetched.clear()
    fetch(hub, tmp_path / "x")
    fetch(hub, tmp_path / "x")
    assert [name for name, _ in hub.fetched] == [SHARDS[1]]


def test_a_broken_connection_goes_on_where_it_broke(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.cut_once.add(SHARDS[0])
    fetch(hub, tmp_path / "x")
    whole_chunks = (hub.folder / SHARDS[0]).stat().st_size // 2 // 1024 * 1024
    assert (SHARDS[0], f"bytes={whole_chunks}-") in hub.fetched


def test_what_is_not_wanted_is_left_on_the_hub(hub: FakeHub, tmp_path: Path) -> None:
    (hub.folder / "original").mkdir()
    for name in ("README.md", "pytorch_model.bin", "original/model.safetensors"):
        (hub.folder / name).write_bytes(b"not wanted")
    fetch(hub, tmp_path / "x")
    for name in ("README.md", "pytorch_model.bin", "original"):
        assert not (tmp_path / "x" / name).exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pth", "LICENSE"])
def test_a_repository_without_safetensors_is_refused_before_anything_is_fetched(
    hub: FakeHub, tmp_path: Path, name: str
) -> None:
    for shard in SHARDS:
        (hub.folder / shard).unlink()
    (hub.folder / name).write_bytes(b"x")
    message = refusal(hub, tmp_path / "x", CheckpointRefused)
    pickles, nothing = f"its weights are pickles ({name})", "has no model*.safetensors files"
    assert (nothing if name == "LICENSE" else pickles) in message
    assert hub.fetched == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"architectures": ["MistralForCausalLM"]}, "LlamaForCausalLM"),
        (None, "tokenizer.json is missing"),
    ],
)
def test_small_files_that_are_wrong_are_refused_before_the_weights_are_fetched(
    hub: FakeHub, tmp_path: Path, changes: dict[str, object] | None, problem: str
) -> None:
    if changes is None:
        (hub.folder / "tokenizer.json").unlink()
    else:
        path = hub.folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert problem in refusal(hub, tmp_path / "x", CheckpointRefused)
    assert weights_fetched(hub) == []


def test_a_missing_shard_is_refused_by_name(hub: FakeHub, tmp_path: Path) -> None:
    (hub.folder / SHARDS[1]).unlink()
    problem = f"missing weight files: {SHARDS[1]}"
    assert problem in refusal(hub, tmp_path / "x", CheckpointRefused)


def test_damaged_safetensors_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    (hub.folder / SHARDS[0]).write_bytes(b"\xff" * 64)
    assert "not a safetensors file" in refusal(hub, tmp_path / "x", CheckpointRefused)


def test_a_flipped_bit_is_found_when_pulling_again(hub: FakeHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path / "x")
    path = tmp_path / "x" / SHARDS[1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    message = refusal(hub, tmp_path / "x", CheckpointRefused)
    assert f"{path}: is not the file that the hub has; delete it" in message
    path.unlink()
    fetch(hub, tmp_path / "x")


def test_weights_of_another_model_in_the_folder_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    shutil.copy(hub.folder / SHARDS[0], tmp_path / "x" / "model.safetensors")
    message = refusal(hub, tmp_path / "x", CheckpointRefused)
    assert "weight files not in the index: model.safetensors" in message


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: full)
    assert "GiB are still to fetch, 0.0 GiB are free" in refusal(hub, tmp_path / "x")
    assert hub.fetched == []


@pytest.mark.parametrize(("token", "code"), [("", "GatedRepo"), (TOKEN, "GatedRepo"), (TOKEN, "")])
def test_a_gated_repository_says_what_to_do(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, code: str
) -> None:
    hub.token, hub.refusal = "hf_another", code
    monkeypatch.setenv("HF_TOKEN", token)
    message = refusal(hub, tmp_path / "x")
    assert message.startswith(f"{hub.endpoint}/{REPO}: gated: accept its licence there")


def test_the_token_of_the_environment_opens_a_gated_repository(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = TOKEN
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch(hub, tmp_path / "x")


@pytest.mark.parametrize(
    ("token", "given", "problem"),
    [
        ("", {"model": "someone/nothing"}, "no such repository"),
        (TOKEN, {"model": "someone/nothing"}, "no such repository"),
        (TOKEN, {"revision": "v9"}, "has no revision v9"),
        ("unknown", {}, "does not know the token in HF_TOKEN"),
        ("", {"model": "guard"}, "known are llama-guard-3-8b"),
        ("", {"model": "a/b/c"}, "or give OWNER/REPO"),
        ("", {"model": 'a/"b'}, "or give OWNER/REPO"),
        ("", {"model": "a--b/.."}, "failed (HFValidationError)"),
    ],
)
def test_what_the_hub_does_not_have_is_refused(
    hub: FakeHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    given: dict[str, str],
    problem: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert problem in refusal(hub, tmp_path / "x", **given)


def test_a_hub_that_is_away_says_so(random_shards: Path, tmp_path: Path) -> None:
    with FakeHub(REPO, random_shards).running() as gone:
        pass
    assert "failed (ConnectError): pull again later" in refusal(gone, tmp_path / "x")


def test_a_folder_that_cannot_be_written_is_named(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / ".cache").write_text("in the way of the library")
    assert ".cache" in refusal(hub, tmp_path / "x")


def test_the_shipped_manifests_are_of_the_real_models() -> None:
    for name in ("llama-guard-3-8b", "llama-guard-3-8b-int8"):
        manifest = find_manifest(name)
        assert manifest.repo.lower() == f"meta-llama/{name}"
        assert find_manifest(manifest.repo) == manifest
        assert (manifest.revision, manifest.context) == ("main", 8192)
        assert {canary.is_unsafe for canary in manifest.canaries} == {True, False}
