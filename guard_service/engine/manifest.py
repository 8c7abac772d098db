"""What we know of models on the hub, and what is written down beside fetched weights."""

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard_service.engine.checkpoint import models_folder
from guard_service.engine.tokenizer import DEFAULT_WINDOW_TOKENS
from guard_service.errors import CheckpointRefused


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model on the hub: where it is, what of it we want, and what we know of it."""

    name: str
    repo: str
    files: tuple[str, ...]  # shell patterns for the repository's top folder
    revision: str = "main"
    context: int = DEFAULT_WINDOW_TOKENS
    licence: str = ""
    canaries: tuple[dict[str, Any], ...] = ()


def known_models() -> dict[str, Manifest]:
    """The manifests that we ship, by name."""
    manifests = map(read_manifest, models_folder().glob("*.toml"))
    return {manifest.name: manifest for manifest in sorted(manifests, key=lambda m: m.name)}


def read_manifest(path: Path) -> Manifest:
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    return Manifest(
        name=values["name"],
        repo=values["repo"],
        files=tuple(values["files"]),
        revision=values["revision"],
        context=values["context"],
        licence=values["licence"].strip(),
        canaries=tuple(values.get("canary", ())),
    )


def find_manifest(model: str) -> Manifest:
    """The manifest of a known name or repository, or a plain one for any other repository."""
    known = known_models()
    for manifest in known.values():
        if model in (manifest.name, manifest.repo):
            return manifest
    if model.count("/") != 1:
        names = ", ".join(known)
        raise CheckpointRefused(f"{model}: no such model; known are {names}, or give OWNER/REPO")
    files = next(iter(known.values())).files
    return Manifest(name=model.partition("/")[2].lower(), repo=model, files=files)


def write_manifest(folder: Path, manifest: Manifest, commit: str) -> None:
    """What the service is to know of the model; in place at once or not at all."""
    lines = ["# Written by `guard pull`."]
    lines += _assignments(name=manifest.name, repo=manifest.repo, revision=commit)
    lines += _assignments(context=manifest.context, licence=manifest.licence)
    for canary in manifest.canaries:
        lines += ["", "[[canary]]", *_assignments(**canary)]
    temporary = folder / "manifest.toml.new"
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(folder / "manifest.toml")


def _assignments(**values: str | int | bool) -> list[str]:
    # JSON writes strings, whole numbers and booleans exactly as TOML does.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
