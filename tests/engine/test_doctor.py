import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from word_tokenizer import word_tokenizer

from guard_service.config import Settings
from guard_service.engine.doctor import Finding, Level, examine, find_gpu
from guard_service.engine.machine import Gpu, Machine

GIB = 2**30
NUM_PARAMETERS = 8_030_261_248
PACKAGES = {"torch": "2.13.0+cpu", "transformers": "5.23.0", "accelerate": "1.15.0"}
H200 = Gpu("NVIDIA H200", 139 * GIB, 140 * GIB, has_bfloat16=True)
SMALL = Gpu("NVIDIA RTX 3060", 11 * GIB, 12 * GIB, has_bfloat16=True)
T4 = Gpu("Tesla T4", 15 * GIB, 16 * GIB, has_bfloat16=False)
CPU = Machine(PACKAGES, ram_bytes=64 * GIB, cpu_flags=frozenset({"avx512_bf16"}))


@pytest.fixture(scope="module")
def llama_8b(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint of the real size that takes no room: a header, then a hole in the file."""
    folder = tmp_path_factory.mktemp("llama-guard")
    sizes = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32}
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256}
    config = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 131072}
    (folder / "config.json").write_text(json.dumps(config | sizes | heads))
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
    return Settings(model=str(llama_8b), port=0)


def change(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def found(settings: Settings, machine: Machine) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(settings, machine)}


def on(*gpus: Gpu) -> Machine:
    return replace(CPU, gpus=gpus, cuda="13.0", has_nvidia=bool(gpus))


def test_an_h200_serves_the_real_model(settings: Settings) -> None:
    findings = examine(settings, on(H200))
    assert {finding.level for finding in findings} == {Level.OK}
    (memory,) = [finding for finding in findings if finding.name == "memory"]
    assert "15.0 GiB for bfloat16 weights" in memory.detail
    assert "139.0 of 140.0 GiB are free on NVIDIA H200" in memory.detail


def test_a_small_gpu_fails_with_both_numbers(settings: Settings) -> None:
    memory = found(settings, on(SMALL))["memory"]
    assert memory.level is Level.FAIL
    assert "15.0 GiB" in memory.detail and "11.0 of 12.0 GiB" in memory.detail


def test_a_gpu_for_the_weights_alone_warns(settings: Settings) -> None:
    tight = replace(H200, free_bytes=16 * GIB)
    assert found(settings, on(tight))["memory"].level is Level.WARN


def test_float32_doubles_a_bfloat16_checkpoint(settings: Settings) -> None:
    memory = found(change(settings, dtype="float32"), on(H200))["memory"]
    assert "29.9 GiB for float32 weights" in memory.detail


def test_a_cpu_reads_float32_and_is_slow_for_a_model_of_this_size(settings: Settings) -> None:
    memory = found(settings, CPU)["memory"]
    assert (memory.level, "seconds" in memory.advice) == (Level.WARN, True)
    assert "29.9 GiB for float32 weights" in memory.detail
    assert "64.0 GiB of RAM are free" in memory.detail


@pytest.mark.parametrize(("ram", "level"), [(16 * GIB, Level.FAIL), (None, Level.WARN)])
def test_ram_that_is_short_fails_and_unknown_warns(
    settings: Settings, ram: int | None, level: Level
) -> None:
    assert found(settings, replace(CPU, ram_bytes=ram))["memory"].level is level


def test_a_gpu_that_is_asked_for_and_missing_fails(settings: Settings) -> None:
    findings = found(change(settings, device="cuda"), CPU)
    assert findings["device"].level is Level.FAIL
    assert "built for CPUs" in findings["device"].advice
    assert "memory" not in findings


def test_the_drivers_own_complaint_is_the_advice(settings: Settings) -> None:
    machine = replace(on(), warning="The NVIDIA driver is too old")
    device = found(change(settings, device="cuda:1"), machine)["device"]
    assert (device.level, device.advice) == (Level.FAIL, "The NVIDIA driver is too old")


def test_a_gpu_that_torch_does_not_see_warns(settings: Settings) -> None:
    device = found(settings, replace(CPU, has_nvidia=True))["device"]
    assert (device.level, "an NVIDIA GPU" in device.detail) == (Level.WARN, True)


def test_the_gpu_of_the_setting_is_examined() -> None:
    machine = on(SMALL, H200)
    names = ("auto", "cuda", "cuda:1", "cuda:2", "cpu")
    gpus = [find_gpu(name, machine) for name in names]
    assert gpus == [SMALL, SMALL, H200, None, None]


def test_bfloat16_that_is_emulated_warns(settings: Settings) -> None:
    assert found(settings, on(T4))["dtype"].level is Level.WARN
    wanted = change(settings, dtype="bfloat16")
    assert found(wanted, CPU)["dtype"].level is Level.OK
    assert found(wanted, replace(CPU, cpu_flags=frozenset()))["dtype"].level is Level.WARN
    assert found(change(settings, dtype="float16"), CPU)["dtype"].level is Level.WARN


def test_torch_that_is_old_missing_or_broken_fails(settings: Settings) -> None:
    old = replace(CPU, packages=PACKAGES | {"torch": "2.10.1+cu128"})
    missing = replace(CPU, packages=PACKAGES | {"torch": None})
    broken = replace(CPU, error="OSError: libcudart.so: not found")
    for machine in (old, missing, broken):
        assert found(settings, machine)["torch"].level is Level.FAIL
    assert "libcudart" in found(settings, broken)["torch"].detail


def test_a_missing_library_fails(settings: Settings) -> None:
    machine = replace(CPU, packages=PACKAGES | {"accelerate": None})
    assert found(settings, machine)["accelerate"].level is Level.FAIL


def test_a_missing_folder_says_how_to_fetch_the_model(settings: Settings, tmp_path: Path) -> None:
    findings = found(change(settings, model=str(tmp_path / "none")), on(H200))
    assert findings["model"].level is Level.FAIL
    assert findings["model"].advice == f"guard pull llama-guard-3-8b --to {tmp_path / 'none'}"
    assert "memory" not in findings and "port" in findings


def test_a_checkpoint_that_would_be_refused_fails_with_why(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"auto_map": {}}')
    model = found(change(settings, model=str(tmp_path)), CPU)["model"]
    assert (model.level, "auto_map" in model.detail) == (Level.FAIL, True)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "manifest.toml"])
def test_damaged_files_are_findings_and_not_the_end_of_the_doctor(
    settings: Settings, tmp_path: Path, llama_8b: Path, name: str
) -> None:
    for path in llama_8b.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).write_text("[")
    findings = examine(change(settings, model=str(tmp_path)), on(H200))
    assert Level.FAIL in {finding.level for finding in findings}
    assert findings[-1].name == "port"


def test_a_policy_that_is_not_there_or_not_readable_fails(
    settings: Settings, tmp_path: Path
) -> None:
    assert found(settings, CPU)["policies"].detail == "default; windows of 8192 tokens"
    for change_of in ({"default_policy": "none"}, {"policies": tmp_path}):
        assert found(change(settings, **change_of), CPU)["policies"].level is Level.FAIL


def test_a_window_too_small_for_the_policies_fails(settings: Settings) -> None:
    assert found(change(settings, max_window_tokens=300), CPU)["policies"].level is Level.FAIL


def test_the_development_model_warns(
    settings: Settings, llama_8b: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guard_service.engine.checkpoint.EMBEDDED_MODEL", llama_8b.name)
    assert found(settings, on(H200))["model"].level is Level.WARN


def test_a_quantized_checkpoint_needs_bitsandbytes_and_a_gpu(
    settings: Settings, tmp_path: Path, llama_8b: Path
) -> None:
    for path in llama_8b.iterdir():
        (tmp_path / path.name).symlink_to(path)
    config = json.loads((llama_8b / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": {}}))
    settings = change(settings, model=str(tmp_path))
    has = {"packages": PACKAGES | {"bitsandbytes": "0.49"}}
    levels = [
        found(settings, machine)["quantization"].level
        for machine in (on(H200), replace(CPU, **has), replace(on(H200), **has))
    ]
    assert levels == [Level.FAIL, Level.FAIL, Level.WARN]
