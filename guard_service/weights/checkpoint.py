"""What is in a model folder, and why we would not load it. Reads headers, needs no torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from guard_service.errors import CheckpointRefused
from guard_service.weights.integrity import check_digests, read_digests
from guard_service.weights.manifest import Canary, read_manifest

EMBEDDED_MODEL = "guard-tiny"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_PACKAGE_MODELS = Path(__file__).parent.parent / "models"
_CHECKOUT_MODELS = Path(__file__).parent.parent.parent / "models"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model folder that may be loaded."""

    folder: Path
    name: str
    context: int  # tokens in one window
    num_bytes: int  # of weights
    canaries: tuple[Canary, ...]
    digests: Mapping[str, str] = field(default_factory=dict)  # that its files must have

    @property
    def is_development(self) -> bool:
        return self.name == EMBEDDED_MODEL

    def verify(self) -> str:
        """Read every byte; SHA-256 over configuration, tokenizer and weights.

        CheckpointRefused if a file is not the one that the manifest knows.
        """
        found = read_digests(self.folder)
        check_digests(self.folder, found, self.digests)
        names = ["config.json", "tokenizer.json", *sorted(p.name for p in _weights(self.folder))]
        return hashlib.sha256("".join(found[name] for name in names).encode()).hexdigest()


def models_folder() -> Path:
    """Where the embedded model and the manifests lie: in the wheel, or in a checkout."""
    return _PACKAGE_MODELS if _PACKAGE_MODELS.is_dir() else _CHECKOUT_MODELS


def find_checkpoint(model: str) -> Checkpoint:
    """The checkpoint in a folder or embedded under this name, or CheckpointRefused with why."""
    folder = models_folder() / model if model == EMBEDDED_MODEL else Path(model)
    if not folder.is_dir():
        raise CheckpointRefused(f"{model}: no such folder")
    check_config(folder)
    _check_files(folder)
    manifest = read_manifest(folder / "manifest.toml")
    return Checkpoint(
        folder=folder,
        name=manifest.name,
        context=find_window(folder),
        num_bytes=sum(path.stat().st_size for path in _weights(folder)),
        canaries=manifest.canaries,
        digests=manifest.digests,
    )


def find_window(folder: Path) -> int:
    """Tokens that the model in a folder reads at once, as far as its files tell."""
    wanted = read_manifest(folder / "manifest.toml").context
    config = folder / "config.json"
    limit = _read_json(config).get("max_position_embeddings") if config.is_file() else None
    return min(wanted, int(limit)) if limit else wanted


def check_config(folder: Path) -> None:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointRefused(f"{folder}: config.json is missing")
    config = _read_json(path)
    if "auto_map" in config:
        raise CheckpointRefused(f"{path}: auto_map asks to run code from the checkpoint")
    if "LlamaForCausalLM" not in config.get("architectures", []):
        raise CheckpointRefused(f"{path}: architectures must hold LlamaForCausalLM")


def _check_files(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        if path.suffix in PICKLES:
            raise CheckpointRefused(f"{path}: pickle files can run code and are never loaded")
    weights = _weights(folder)
    if not weights:
        raise CheckpointRefused(f"{folder}: no *.safetensors files")
    for path in weights:
        _check_safetensors(path)
    _check_index(folder)


def _check_safetensors(path: Path) -> None:
    """Header, offsets and size; the library refuses gaps, overlaps and truncation."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointRefused(f"{path}: not a safetensors file ({error})") from None


def _check_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    shards = set(_read_json(index).get("weight_map", {}).values())
    present = {path.name for path in _weights(folder)}
    if missing := sorted(shards - present):
        raise CheckpointRefused(f"{folder}: missing weight files: {', '.join(missing)}")
    if extra := sorted(present - shards):
        raise CheckpointRefused(f"{folder}: weight files not in the index: {', '.join(extra)}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointRefused(f"{path}: not JSON ({error})") from None
    if not isinstance(values, dict):
        raise CheckpointRefused(f"{path}: must be a JSON object")
    return values


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))
