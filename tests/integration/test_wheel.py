"""The wheel carries all that it needs, and the client nothing that it does not."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from known import HARMLESS
from serving import Served

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_it_carries_the_model_the_policies_and_the_service_config(wheel: Path) -> None:
    assert names(wheel) >= {
        "guard_service/models/guard-tiny/model.safetensors",
        "guard_service/models/guard-tiny/tokenizer.json",
        "guard_service/models/guard-tiny/config.json",
        "guard_service/models/guard-tiny/manifest.toml",
        "guard_service/models/guard-tiny/README.md",
        "guard_service/models/llama-guard-3-8b.toml",
        "guard_service/policies/default.toml",
        "guard_service/client/service_config.json",
        "guard_service/v1/moderation_pb2.pyi",
    }


def test_it_carries_no_training_no_tests_and_nothing_twice(wheel: Path) -> None:
    carried = zipfile.ZipFile(wheel).namelist()
    assert len(carried) == len(set(carried))
    assert not [n for n in carried if "training" in n or n.startswith("tests") or ".jsonl" in n]
    assert all(n.startswith(("guard_service/", "guard_service-")) for n in carried)


def test_without_the_checkout_it_serves_the_embedded_model(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "import guard_service; print(guard_service.__file__)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=120,
        )

    assert run("-c", code).stdout.startswith(str(tmp_path))
    checked = run("-m", "guard_service", "check", HARMLESS)
    assert checked.returncode == 0
    assert "ALLOW" in checked.stdout


def test_the_client_asks_a_server_without_anything_of_the_serving_extra(served: Served) -> None:
    serving = ["torch", "transformers", "accelerate", "tokenizers", "safetensors", "pydantic"]
    serving += ["sqlalchemy", "typer", "rich", "huggingface_hub", "grpc_health", "grpc_reflection"]
    code = f"""
import sys
sys.modules.update(dict.fromkeys({serving!r}))  # importing any of them now fails
from guard_service.client import GuardClient
with GuardClient({served.target!r}, timeout=60) as client:
    assert client.moderate({HARMLESS!r}).is_allowed
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
