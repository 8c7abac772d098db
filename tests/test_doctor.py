import json
import socket
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from word_tokenizer import word_tokenizer

from guard_service import doctor
from guard_service.config import Settings
from guard_service.doctor import Finding, Level, examine
from guard_service.supervision.machine import Gpu, Machine

GIB = 2**30
NUM_PARAMETERS = 8_030_261_248
H200 = Gpu("NVIDIA H200", 139 * GIB, 140 * GIB)
SMALL = Gpu("NVIDIA RTX 3060", 11 * GIB, 12 * GIB)
CPU = Machine("2.13.0+cpu", ram_bytes=64 * GIB)


@pytest.fixture(scope="module")
def llama_8b(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint of the real size that takes no room: a header, then a hole in the file."""
    folder = tmp_path_factory.mktemp("llama-guard")
    sizes = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8}
    config = {"architectures": ["LlamaForCausalLM"], **sizes, **heads}
    (folder / "config.json").write_text(json.dumps(config))
    word_tokenizer().save(str(folder / "tokenizer.json"))
    num_bytes = NUM_PARAMETERS * 2
    weight = {"dtype": "BF16", "shape": [NUM_PARAMETERS], "data_offsets": [0, num_bytes]}
    header = json.dumps({"w": weight}).encode()
    weights = folder / "model.safetensors"
    with weights.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(file.tell() + num_bytes)
    yield folder
    weights.unlink()


@pytest.fixture
def settings(llama_8b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return Settings(model=str(llama_8b), port=0, metrics_port=0)


def found(settings: Settings, machine: Machine, **changes: object) -> dict[str, Finding]:
    findings = examine(settings.model_copy(update=changes), machine)
    return {finding.name: finding for finding in findings}


def on(*gpus: Gpu) -> Machine:
    return replace(CPU, torch="2.11.0+cu130", gpus=gpus)


def copy(folder: Path, to: Path, name: str, text: str) -> str:
    """The folder again, with another file of this name."""
    for path in folder.iterdir():
        if path.name != name:
            (to / path.name).symlink_to(path)
    (to / name).write_text(text)
    return str(to)


def test_an_h200_serves_the_real_model_and_nothing_is_written(
    settings: Settings, tmp_path: Path
) -> None:
    findings = found(settings, on(H200))
    names = ["torch", "device", "model", "policies", "memory", "access", "database", "port"]
    assert [(f.name, f.level) for f in findings.values()] == [(name, Level.OK) for name in names]
    assert findings["policies"].detail == "default; windows of 8192 tokens"
    assert findings["memory"].detail == (
        "15.0 GiB of weights and about 4.7 GiB to work, 139.0 GiB free on NVIDIA H200"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("machine", "changes", "level", "detail"),
    [
        (on(SMALL), {}, Level.FAIL, "15.0 GiB of weights"),
        (on(SMALL, H200), {"devices": "cuda:1"}, Level.OK, "15.0 GiB of weights"),
        (on(replace(H200, free_bytes=16 * GIB)), {}, Level.WARN, "16.0 GiB free"),
        (on(H200), {"max_batch_tokens": 2**20}, Level.WARN, "15.0 GiB of weights"),
        (on(H200), {"dtype": "float32"}, Level.OK, "29.9 GiB of weights"),
        (on(H200), {"devices": "cpu"}, Level.WARN, "29.9 GiB of weights"),
        (CPU, {}, Level.WARN, "64.0 GiB free on the CPU"),
        (CPU, {"dtype": "bfloat16"}, Level.WARN, "15.0 GiB of weights"),
        (replace(CPU, ram_bytes=16 * GIB), {}, Level.FAIL, "29.9 GiB of weights"),
    ],
)
def test_weights_and_workspace_are_held_against_what_is_free(
    settings: Settings, machine: Machine, changes: dict[str, object], level: Level, detail: str
) -> None:
    memory = found(settings, machine, **changes)["memory"]
    assert (memory.level, detail in memory.detail) == (level, True)


@pytest.mark.parametrize(("device", "machine"), [("cuda", CPU), ("cuda:1", on(H200))])
def test_a_gpu_that_is_asked_for_and_missing_fails(
    settings: Settings, device: str, machine: Machine
) -> None:
    findings = found(settings, machine, devices=device)
    assert findings["device"].level is Level.FAIL
    assert findings["device"].detail == (
        f"{device}: torch {machine.torch} sees {len(machine.gpus)} GPUs"
    )
    assert "memory" not in findings


@pytest.mark.parametrize(
    "machine", [replace(CPU, torch="2.10.1+cu128"), Machine(error="OSError: libcudart.so: missing")]
)
def test_torch_that_is_old_or_broken_fails(settings: Settings, machine: Machine) -> None:
    torch = found(settings, machine)["torch"]
    assert (torch.level, torch.detail) == (Level.FAIL, machine.error or "2.10.1+cu128: too old")


def test_a_missing_model_says_how_to_fetch_it_and_the_rest_is_examined(settings: Settings) -> None:
    findings = found(settings, on(H200), model="none")
    model = findings["model"]
    assert (model.level, model.detail) == (Level.FAIL, "none: no such folder")
    assert model.advice.startswith("guard pull llama-guard-3-8b")
    assert set(findings) == {"torch", "device", "model", "access", "database", "port"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tokenizer.json", "["),
        ("config.json", "["),
        ("config.json", '{"auto_map": {}}'),
        ("config.json", '{"architectures": ["LlamaForCausalLM"]}'),
        ("config.json", '{"architectures": ["LlamaForCausalLM"], "quantization_config": {}}'),
        ("manifest.toml", "["),
        ("manifest.toml", '[[canary]]\ntext = "x"\n'),
    ],
)
def test_damaged_files_are_findings_and_not_the_end_of_the_doctor(
    settings: Settings, tmp_path: Path, llama_8b: Path, name: str, text: str
) -> None:
    findings = found(settings, on(H200), model=copy(llama_8b, tmp_path, name, text))
    assert Level.FAIL in {finding.level for finding in findings.values()}
    assert findings["port"].level is Level.OK


def test_the_development_model_warns(settings: Settings) -> None:
    findings = found(settings, CPU, model="guard-tiny")
    levels = {name: finding.level for name, finding in findings.items()}
    assert levels.pop("model") is Level.WARN
    assert set(levels.values()) == {Level.OK}


@pytest.mark.parametrize(
    "changes", [{"default_policy": "none"}, {"policies": Path(".")}, {"max_window_tokens": 300}]
)
def test_policies_that_cannot_be_served_fail(
    settings: Settings, changes: dict[str, object]
) -> None:
    assert found(settings, CPU, **changes)["policies"].level is Level.FAIL


def test_a_database_that_can_be_written_is_left_as_it_was(
    settings: Settings, tmp_path: Path
) -> None:
    with closing(sqlite3.connect("guard.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    before = Path("guard.db").read_bytes()
    assert found(settings, CPU)["database"].level is Level.OK
    assert Path("guard.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["guard.db"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("sqlite:///none/guard.db", "none: cannot be written"),
        ("sqlite:///damaged.db", "file is not a database"),
        ("sqlite:///locked.db?timeout=0", "database is locked"),
        ("nothing://me:secret@127.0.0.1/guard", "Can't load plugin"),
        ("mysql+pymysql://me:secret@127.0.0.1/guard", "No module named 'pymysql'"),
        ("postgresql://me:secret@127.0.0.1:x/guard", "invalid literal for int()"),
        ("guard.db", "Could not parse"),
    ],
)
def test_a_database_that_cannot_be_written_fails_and_no_password_is_shown(
    settings: Settings, url: str, problem: str
) -> None:
    Path("damaged.db").write_bytes(b"no database" * 1000)
    with closing(sqlite3.connect("locked.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        database = found(settings, CPU, database_url=url)["database"]
    assert (database.level, problem in database.detail) == (Level.FAIL, True)
    assert "secret" not in str(database)


@pytest.mark.parametrize(
    ("keys", "level"), [("", Level.WARN), ("postgresql://keys/guard", Level.OK)]
)
def test_text_keys_beside_the_texts_in_a_server_are_a_warning(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, keys: str, level: Level
) -> None:
    monkeypatch.setattr(doctor, "database_problem", lambda _: None)
    url = "postgresql://me:secret@127.0.0.1/guard"
    database = found(settings, CPU, database_url=url, review_keys_url=keys)["database"]
    assert database.level is level
    assert "secret" not in str(database)


def test_a_port_is_free_until_someone_listens(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert found(settings, CPU, port=port)["port"].level is Level.FAIL
        assert found(settings, CPU, metrics_port=port)["port"].level is Level.FAIL
    assert found(settings, CPU, port=port)["port"].level is Level.OK
    assert found(settings, CPU, host="192.0.2.1")["port"].level is Level.FAIL


def test_a_server_that_would_be_open_to_strangers_is_told(settings: Settings) -> None:
    access = found(settings, on(H200), host="0.0.0.0")["access"]
    assert (access.level, "access_file" in access.detail) == (Level.FAIL, True)
